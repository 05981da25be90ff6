"""Actions of a route: requests are sent to clusters, redirected or answered."""

import re
from collections.abc import Callable
from typing import Any

from k8s_manager.standalone.translator.matches import re2, string_match
from k8s_manager.standalone.translator.omissions import UnknownField, known_only, mapping, mappings

Object = dict[str, Any]
ClusterOf = Callable[[Object], str]
HTTP_FIELDS = frozenset(
    {
        "name",
        "match",
        "route",
        "mirrors",
        "redirect",
        "directResponse",
        "timeout",
        "retries",
        "headers",
        "rewrite",
        "corsPolicy",
    }
)
_CORS_TYPE = "type.googleapis.com/envoy.extensions.filters.http.cors.v3"
CORS_FILTER: Object = {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{_CORS_TYPE}.Cors"}}
"""What istiod puts before the filters that EnvoyFilters insert before the router."""
_CORS = {
    "allowMethods": "allow_methods",
    "allowHeaders": "allow_headers",
    "exposeHeaders": "expose_headers",
}
_CORS_FIELDS = frozenset({"allowOrigins", "allowOrigin", "allowCredentials", "maxAge", "unmatchedPreflights", *_CORS})
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ms|us|s|m|h)")
_REDIRECT = {"uri": "path_redirect", "authority": "host_redirect", "scheme": "scheme_redirect", "port": "port_redirect"}
_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def action_of(http: Object, cluster_of: ClusterOf) -> Object:
    """Return the action of an HTTP route."""
    if "delegate" in http:
        raise UnknownField("delegate", "the translator does not follow delegates")
    if "directResponse" in http:
        return {"direct_response": _direct_response(mapping(http["directResponse"], "directResponse"))}
    if "redirect" in http:
        return {"redirect": _redirect(mapping(http["redirect"], "redirect"))}
    route: Object = {"timeout": seconds(http.get("timeout", "0s")), **_clusters(http, cluster_of)}
    if mirrors := [_mirror(one, cluster_of) for one in mappings(http.get("mirrors"), "mirrors")]:
        route["request_mirror_policies"] = mirrors
    route |= _retries(mapping(http.get("retries"), "retries"))
    route |= _rewrite(mapping(http.get("rewrite"), "rewrite"))
    return {"route": route}


def _clusters(http: Object, cluster_of: ClusterOf) -> Object:
    targets = mappings(http.get("route"), "route")
    if not targets:
        raise UnknownField("route", "it leads nowhere")
    if len(targets) == 1:
        return {"cluster": cluster_of(mapping(targets[0].get("destination"), "route[0].destination"))}
    weighted = [
        {"name": cluster_of(mapping(d.get("destination"), "route.destination")), "weight": d.get("weight", 0)}
        for d in targets
    ]
    if sum(one["weight"] for one in weighted) <= 0:
        raise UnknownField("route", "its weights add up to 0")
    return {"weighted_clusters": {"clusters": weighted}}


def _mirror(mirror: Object, cluster_of: ClusterOf) -> Object:
    """Return what is mirrored where, as istiod says it: the copy has the Host of the request."""
    known_only(mirror, frozenset({"destination", "percentage"}), "mirrors")
    share = float(mapping(mirror.get("percentage", {"value": 100}), "mirrors.percentage").get("value", 0))
    return {
        "cluster": cluster_of(mapping(mirror.get("destination"), "mirrors.destination")),
        "runtime_fraction": {"default_value": {"numerator": round(share * 10_000), "denominator": "MILLION"}},
        "trace_sampled": False,
        "disable_shadow_host_suffix_append": True,
    }


def _direct_response(direct: Object) -> Object:
    body = mapping(direct.get("body"), "directResponse.body")
    if body and not isinstance(body.get("string"), str):
        raise UnknownField("directResponse.body", "the translator knows a string only")
    return {"status": direct["status"], **({"body": {"inline_string": body["string"]}} if body else {})}


def _redirect(redirect: Object) -> Object:
    known_only(redirect, frozenset({*_REDIRECT, "redirectCode"}), "redirect")
    out = {envoys: redirect[name] for name, envoys in _REDIRECT.items() if redirect.get(name)}
    code = redirect.get("redirectCode", 301)
    if code not in _CODES:
        raise UnknownField("redirect.redirectCode", f"{code} is no redirect")
    if "%" in str(redirect.get("uri", "")):
        raise UnknownField("redirect.uri", "the translator does not know its placeholders")
    return {**out, "response_code": _CODES[code]}


def _rewrite(rewrite: Object) -> Object:
    known_only(rewrite, frozenset({"uri", "uriRegexRewrite", "authority"}), "rewrite")
    names = {"uri": "prefix_rewrite", "authority": "host_rewrite_literal"}
    out = {envoys: rewrite[name] for name, envoys in names.items() if rewrite.get(name)}
    if by_regex := mapping(rewrite.get("uriRegexRewrite"), "rewrite.uriRegexRewrite"):
        if "uri" in rewrite:
            raise UnknownField("rewrite", "one of uri and uriRegexRewrite is expected")
        pattern = {"regex": re2(str(by_regex["match"]), "rewrite.uriRegexRewrite.match")}
        out["regex_rewrite"] = {"pattern": pattern, "substitution": str(by_regex["rewrite"])}
    return out


def _retries(retries: Object) -> Object:
    if not retries.get("attempts"):
        return {}
    policy: Object = {
        "retry_on": retries.get("retryOn", ""),
        "num_retries": retries["attempts"],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": "5",
    }
    if "perTryTimeout" in retries:
        policy["per_try_timeout"] = seconds(retries["perTryTimeout"])
    return {"retry_policy": policy}


def cors_of(policy: Object) -> Object:
    """Return what the CORS filter does on a route, as istiod sets it."""
    if not policy:
        return {}
    known_only(policy, _CORS_FIELDS, "corsPolicy")
    origins = mappings(policy.get("allowOrigins"), "corsPolicy.allowOrigins")
    out: Object = {
        "@type": f"{_CORS_TYPE}.CorsPolicy",
        "allow_origin_string_match": [string_match(one, "corsPolicy.allowOrigins") for one in origins]
        or [{"exact": str(one)} for one in policy.get("allowOrigin") or []],
        "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
        "forward_not_matching_preflights": policy.get("unmatchedPreflights") != "IGNORE",
    }
    out |= {envoys: ",".join(policy[name]) for name, envoys in _CORS.items() if isinstance(policy.get(name), list)}
    if "allowCredentials" in policy:
        out["allow_credentials"] = bool(policy["allowCredentials"])
    if "maxAge" in policy:
        out["max_age"] = seconds(policy["maxAge"]).removesuffix("s").partition(".")[0]
    return {"typed_per_filter_config": {CORS_FILTER["name"]: out}}


def header_edits(headers: Object) -> Object:
    """Return what a route does to the headers of requests and answers."""
    out: Object = {}
    for side in ("request", "response"):
        edits = mapping(headers.get(side), f"headers.{side}")
        add = [
            _edit(*item, "OVERWRITE_IF_EXISTS_OR_ADD")
            for item in sorted(mapping(edits.get("set"), "headers.set").items())
        ]
        add += [
            _edit(*item, "APPEND_IF_EXISTS_OR_ADD") for item in sorted(mapping(edits.get("add"), "headers.add").items())
        ]
        if add:
            out[f"{side}_headers_to_add"] = add
        if edits.get("remove"):
            out[f"{side}_headers_to_remove"] = edits["remove"]
    return out


def _edit(name: str, value: str, action: str) -> Object:
    return {"header": {"key": name, "value": value}, "append_action": action}


def seconds(duration: str) -> str:
    """Return a Go duration in the form that protobuf takes: seconds only."""
    scale = {"us": 0.000001, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = _DURATION.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration} is no duration")
    total = sum(float(n) * scale[u] for n, u in parts)
    return f"{total:.3f}".rstrip("0").rstrip(".") + "s"
