"""What a route may say of rewriting and of web pages, and what Istio is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import parse
from istio_templates.documents.crd import crds
from istio_templates.errors import Invalid
from k8s_manager.offline.offline_world import planned, world_of
from k8s_manager.pipeline.render import Renderer
from tests.support.documents import gateway, model, tenant

ROUTE = {"host": "search.models.example.com", "path": "/chat", "port": 8080}
PAGE = {"exact": "https://app.example.com"}


def refused(route: dict, *more: dict) -> str:
    with pytest.raises(Invalid) as found:
        parse(model(routes=[{**ROUTE, **route}, *more]))
    return "; ".join(f"{problem.field} {problem.message}" for problem in found.value.problems)


def http_of(*routes: dict) -> list[dict]:
    documents = [parse(gateway()), parse(tenant()), parse(model(routes=[{**ROUTE, **route} for route in routes]))]
    objects = Renderer().render(planned(world_of(documents))).objects.values()
    (found,) = [obj["spec"]["http"] for obj in objects if obj["kind"] == "VirtualService"]
    return found


@pytest.mark.parametrize(
    ("rewrite", "words"),
    [
        ({}, "spec.routes[0].rewrite give path, prefix or host"),
        ({"path": "/a", "prefix": "/b"}, "spec.routes[0].rewrite path replaces the whole path"),
        ({"path": "v1"}, "no leading '/'"),
        ({"path": "/v1?x=1"}, "characters that a path may not have"),
        ({"path": "/v1 HTTP/1.1\r\nx: y"}, "characters that a path may not have"),
        ({"path": "/a/\\0"}, "characters that a path may not have"),
        ({"path": "/%2e%2e/admin"}, "characters that a path may not have"),
        ({"prefix": "/a/../admin"}, "'..' segment"),
        ({"prefix": "//evil.example.net"}, "empty"),
        ({"path": "/a\n"}, "characters that a path may not have"),
        ({"path": f"/{'a' * 256}"}, "longer than 256"),
        ({"host": "llm.internal:8080"}, "carries a port"),
        ({"host": "llm.internal\r\nx: y"}, "no full host name"),
        ({"host": "*.example.com"}, "no full host name"),
        ({"uri": "/v1"}, "spec.routes[0].rewrite.uri"),
    ],
)
def test_a_rewrite_that_cannot_be_meant_is_refused(rewrite, words):
    assert words in refused({"rewrite": rewrite})


@pytest.mark.parametrize(
    ("cors", "words"),
    [
        ({}, "allowOrigins"),
        ({"allowOrigins": []}, "allowOrigins"),
        ({"allowOrigins": [{}]}, "exactly one of exact, prefix and regex"),
        ({"allowOrigins": [{"exact": "https://a.example.com", "prefix": "https://a"}]}, "exactly one of"),
        ({"allowOrigins": [{"exact": "https://a.example.com/"}]}, "no origin as browsers send it"),
        ({"allowOrigins": [{"exact": "a.example.com"}]}, "no origin as browsers send it"),
        ({"allowOrigins": [{"exact": "https://A.example.com"}]}, "no origin as browsers send it"),
        ({"allowOrigins": [{"exact": "https://a.example.com:443"}]}, "leave out :443; write https://a.example.com"),
        ({"allowOrigins": [{"exact": "*.example.com"}]}, "no origin as browsers send it"),
        ({"allowOrigins": [{"prefix": ""}]}, "no beginning of an origin"),
        ({"allowOrigins": [{"prefix": "*"}]}, "no beginning of an origin"),
        ({"allowOrigins": [{"regex": "("}]}, "no regular expression"),
        ({"allowOrigins": [{"regex": "(?=x)"}]}, "not every proxy knows"),
        ({"allowOrigins": [{"regex": "(a+)\\1"}]}, "not every proxy knows"),
        ({"allowOrigins": [{"regex": "a++"}]}, "not every proxy knows"),
        ({"allowOrigins": [{"regex": "a{1001}"}]}, "not every proxy knows"),
        ({"allowOrigins": [PAGE], "allowMethods": ["get"]}, "allowMethods"),
        ({"allowOrigins": [PAGE], "allowHeaders": ["a,b"]}, "no header name"),
        ({"allowOrigins": [PAGE], "exposeHeaders": ["x\r\ny"]}, "no header name"),
        ({"allowOrigins": [PAGE], "maxAge": "500ms"}, "whole seconds"),
        ({"allowOrigins": [PAGE], "maxAge": "0s"}, "whole seconds"),
        ({"allowOrigins": [PAGE], "maxAge": 600}, "with its unit"),
    ],
)
def test_cors_that_no_browser_or_proxy_takes_is_refused(cors, words):
    assert words in refused({"cors": cors})


WIDE = [
    {"exact": "*"},
    {"exact": "null"},
    {"prefix": "https"},
    {"prefix": "https:"},
    {"prefix": "https://app.example.com"},
    {"regex": ".*"},
    {"regex": "https://.+"},
    {"regex": r"https://.*\.example\.com.*"},
    {"regex": r".*|https://a\.example\.com"},
    {"regex": r"https://(.*\.example\.com)?"},
    {"regex": r"https://.*.example.com"},
]


@pytest.mark.parametrize("origin", WIDE)
def test_credentials_are_for_origins_of_ones_own_only(origin):
    assert parse(model(routes=[{**ROUTE, "cors": {"allowOrigins": [origin]}}]))
    assert "spec.routes[0].cors.allowCredentials " in refused(
        {"cors": {"allowOrigins": [PAGE, origin], "allowCredentials": True}}
    )


@pytest.mark.parametrize("listed", ["allowMethods", "allowHeaders", "exposeHeaders"])
def test_with_credentials_a_star_is_a_name(listed):
    cors = {"allowOrigins": [PAGE], listed: ["*"]}
    assert parse(model(routes=[{**ROUTE, "cors": cors}]))
    assert "take * for a name" in refused({"cors": {**cors, "allowCredentials": True}})


def test_a_route_with_headers_needs_one_without_for_its_preflights():
    cors, other = {"allowOrigins": [PAGE]}, {"allowOrigins": [{"exact": "*"}]}
    variant = {**ROUTE, "headers": {"x-variant": "b"}, "cors": cors}
    assert parse(model(routes=[variant, {**ROUTE, "cors": cors}]))
    for more in ([], [ROUTE], [{**ROUTE, "cors": other}], [{**ROUTE, "path": "/", "cors": cors}]):
        assert "spec.routes[0].cors browsers send preflights without headers" in refused(variant, *more)


def test_istio_is_asked_to_answer_preflights_of_strangers_too():
    (http,) = http_of({"cors": {"allowOrigins": [PAGE], "maxAge": "1m30s", "allowHeaders": ["Content-Type"]}})
    assert http["corsPolicy"] == {
        "allowOrigins": [PAGE],
        "allowHeaders": ["content-type"],
        "maxAge": "90s",
        "unmatchedPreflights": "IGNORE",
    }


def test_a_rewrite_changes_neither_name_nor_match_of_a_route():
    (plain,), (rewritten,) = http_of({}), http_of({"rewrite": {"path": "/v1", "host": "llm.example.com"}})
    rewrite = rewritten.pop("rewrite")
    assert rewritten == plain
    assert rewrite == {"authority": "llm.example.com", "uriRegexRewrite": {"match": "^/.*$", "rewrite": "/v1"}}


segments = st.text(alphabet="ab0._~!$&'()*+,;=:@-", min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
paths = st.lists(segments, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(own=paths, new=paths, below=st.lists(segments, min_size=0, max_size=2), slash=st.booleans())
def test_a_prefix_is_replaced_and_what_lies_below_it_stays(own, new, below, slash):
    (http,) = http_of({"path": own, "rewrite": {"prefix": new}})
    asked = "/".join([own.rstrip("/"), *below]) + ("/" if slash and below else "")
    if not asked:
        asked = "/"
    found = applied(http.get("rewrite", {}), asked)
    assert "//" not in found
    assert found.rstrip("/") == "/".join([new.rstrip("/"), *below]).rstrip("/")
    assert found.endswith("/") == (asked.endswith("/") or found == "/")


@given(own=paths, new=paths, below=st.lists(segments, min_size=0, max_size=2))
def test_a_whole_path_is_replaced_whatever_was_asked_for(own, new, below):
    (http,) = http_of({"path": own, "rewrite": {"path": new}})
    assert applied(http["rewrite"], "/".join([own.rstrip("/"), *below]) or "/") == new


def applied(rewrite: dict, path: str) -> str:
    """Return what Envoy makes of a path, by the one place where these expressions fit."""
    found = rewrite.get("uriRegexRewrite")
    return re.sub(found["match"], found["rewrite"].replace("\\", "\\\\"), path) if found else path


def test_kubectl_says_what_excludes_each_other():
    (found,) = [crd for crd in crds() if crd["spec"]["names"]["kind"] == "Model"]
    spec = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    route = spec["properties"]["routes"]["items"]["properties"]
    assert [rule["rule"] for rule in route["rewrite"]["x-kubernetes-validations"]] == [
        "!(has(self.path) && has(self.prefix))"
    ]
    assert "allowCredentials" in route["cors"]["x-kubernetes-validations"][0]["rule"]
