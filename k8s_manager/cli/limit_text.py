"""A limit in words, as `tidegate limit` prints it: what is enforced, and what is not."""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def limit_lines(model: str, answer: Object) -> Iterator[str]:
    """Yield the lines about a model's limit, as the REST API answers it."""
    if answer["total"] is None:
        yield f"{model}: no limit ({answer['reason']}); every request is admitted" + _by(answer)
        return
    each = answer["perGateway"]
    reason = answer["reason"]
    figures = f"{answer['total']:g}/s ({reason}), {each['rate']:g}/s on each of {answer['gateways']} gateway pods"
    yield f"{model}: {figures}{_enforced(answer)}{_by(answer)}"
    for version in answer.get("versions") or ():
        own = "not in force yet" if version["total"] is None else f"{version['total']:g}/s"
        yield f"  version {version['version']}: {own}{_enforced(answer)}"
    if cap := answer.get("cap"):
        yield f"  {cap}"
    for other in answer.get("overruled") or ():
        yield f"  override {other['name']} ({other['sets']} by {other['author']}) is not in force: that one is stronger"


def _enforced(answer: Object) -> str:
    """Return for how many of the requests a limit is enforced, if not for all."""
    mode = answer.get("mode", "enforce")
    if mode == "enforce":
        return ""
    found = answer.get("observed")
    beyond = f"; {found['refused']} of {found['requests']} in the last {found['over']} were beyond it" if found else ""
    if mode == "shadow":
        waits = ", until its verdict" if answer.get("awaitsVerdict") else ""
        return f"; in shadow{waits}: no request is refused{beyond}"
    return f"; in a ramp: enforced for {answer['enforcedPercent']} % of the requests{beyond}"


def _by(answer: Object) -> str:
    override = answer.get("override")
    return f"; override {override['name']}: {override['sets']} by {override['author']}" if override else ""
