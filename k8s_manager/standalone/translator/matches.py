"""Which requests a route of a VirtualService takes, as Envoy matches them."""

import re
from typing import Any

from k8s_manager.standalone.translator.omissions import UnknownField, known_only, mapping

Object = dict[str, Any]
_KNOWN = frozenset(
    {"name", "uri", "ignoreUriCase", "headers", "withoutHeaders", "queryParams", "authority", "method", "scheme"}
)
_PSEUDO = ("method", "authority", "scheme")
_NOT_RE2 = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]")


def match_of(match: Object) -> Object:
    """Return what Envoy matches; a condition that is not known is never dropped: the route would take too much."""
    known_only(match, _KNOWN)
    out = _path(mapping(match.get("uri"), "uri"))
    out["case_sensitive"] = not match.get("ignoreUriCase", False)
    headers = [_header(name, value, "headers") for name, value in mapping(match.get("headers"), "headers").items()]
    headers += [
        {**_header(name, value, "withoutHeaders"), "invert_match": True}
        for name, value in mapping(match.get("withoutHeaders"), "withoutHeaders").items()
    ]
    headers.sort(key=lambda header: str(header["name"]))
    headers += [
        {"name": f":{name}", "string_match": string_match(match[name], name)} for name in _PSEUDO if name in match
    ]
    if headers:
        out["headers"] = headers
    if queries := mapping(match.get("queryParams"), "queryParams"):
        out["query_parameters"] = [
            {"name": name, "string_match": string_match(value, f"queryParams.{name}")}
            for name, value in queries.items()
        ]
    return out


def takes_everything(match: Object) -> bool:
    """Tell whether Envoy's match takes every request."""
    return match.get("prefix") == "/" and not {"headers", "query_parameters"} & match.keys()


def _path(uri: Object) -> Object:
    if not uri:
        return {"prefix": "/"}
    ((how, value),) = string_match(uri, "uri").items()
    return {"path" if how == "exact" else how: value}


def _header(name: str, value: Any, place: str) -> Object:
    if value == {}:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": string_match(value, f"{place}.{name}")}


def string_match(value: Any, place: str) -> Object:
    """Return one of exact, prefix and regex as Envoy has it."""
    found = mapping(value, place)
    if len(found) != 1 or not found.keys() <= {"exact", "prefix", "regex"}:
        raise UnknownField(place, "one of exact, prefix and regex is expected")
    ((how, text),) = found.items()
    if not isinstance(text, str):
        raise UnknownField(place, "a text is expected")
    return {"safe_regex": {"regex": re2(text, place)}} if how == "regex" else {how: text}


def re2(text: str, place: str) -> str:
    """Return a regular expression that RE2 takes too: one that it does not would cost Envoy the whole table."""
    try:
        re.compile(text)
    except re.error as error:
        raise UnknownField(place, f"{text} is no regular expression ({error})") from error
    if _NOT_RE2.search(text):
        raise UnknownField(place, f"{text} looks around or refers back, which Envoy's RE2 does not know")
    return text
