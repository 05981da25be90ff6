"""Where a model's requests go, in words, as `tidegate traffic` prints it; and where one with some headers would."""

from collections.abc import Iterator, Mapping
from typing import Any

from istio_templates.documents import ModelSpec
from istio_templates.documents.arms.traffic_match import TrafficMatch
from istio_templates.documents.fields import header_name
from istio_templates.errors import Invalid, Problem

Object = dict[str, Any]


def traffic_lines(model: str, spec: ModelSpec, status: Object) -> Iterator[str]:
    """Yield the lines about a model's matches, in order, and its weights: those of its release while one goes on."""
    cold = _cold(status)
    for match in spec.traffic_matches:
        waits = f" (has no ready replica: the weights decide until {match.version} has one)" * (match.version in cold)
        yield f"{model}: {match.arm}: {_tests(match)} -> {match.version}{waits}"
    weights = ", ".join(f"{name} {weight} %" for name, weight in _weights(spec, status).items())
    key = spec.sticky and (spec.sticky.header or f"cookie {spec.sticky.cookie.name if spec.sticky.cookie else ''}")
    yield f"{model}: {weights}" + (f", by the hash of {key}" if key else "")


def answer_for(model: str, spec: ModelSpec, status: Object, headers: Mapping[str, str]) -> str:
    """Return which version a request with some headers comes to, and why."""
    cold = _cold(status)
    for match in spec.traffic_matches:
        if match.takes(headers) and match.version not in cold:
            return f"{model}: such a request comes to version {match.version}, by match {match.arm}"
    weights = {name: weight for name, weight in _weights(spec, status).items() if weight}
    if len(weights) == 1:
        return f"{model}: no match takes such a request; it comes to version {next(iter(weights))}, by the weights"
    shares = ", ".join(f"{name} with {weight} %" for name, weight in weights.items())
    return f"{model}: no match takes such a request; it comes to one of {shares}"


def headers_of(texts: list[str]) -> dict[str, str]:
    """Return headers given as NAME=VALUE; raises `Invalid`."""
    out = {}
    for text in texts:
        name, given, value = text.partition("=")
        try:
            out[header_name(name)] = value
        except ValueError as error:
            raise Invalid("headers", [Problem("--header", str(error))]) from error
        if not given:
            raise Invalid("headers", [Problem("--header", f"{text!r} is no header; write NAME=VALUE, such as x-arm=b")])
    return out


def _tests(match: TrafficMatch) -> str:
    if match.cookie:
        return f"cookie {match.cookie.name}={match.cookie.value}"
    found = ((name, *test.way) for name, test in (match.headers or {}).items())
    return ", ".join(f"{name} {how} {text}" for name, how, text in found)


def _cold(status: Object) -> set[str]:
    """Return the versions without a ready replica; none where no version has one: the document holds as it is then."""
    counts = {one["name"]: one.get("ready", 0) for one in status.get("versions") or []}
    return {name for name, ready in counts.items() if not ready} if any(counts.values()) else set()


def _weights(spec: ModelSpec, status: Object) -> dict[str, int]:
    shares = (status.get("rollout") or {}).get("weights") if spec.rollout else None
    if shares:
        return {one["version"]: one["weight"] for one in shares}
    return {share.version: share.weight for share in spec.traffic}
