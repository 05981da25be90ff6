"""What the designer's form says of a second version, of the matches that lead to it, and of sticky weights. Pure."""

from collections.abc import Mapping
from typing import Any

from k8s_manager.console.form import number

ROWS = 3
"""Matches that the form has room for; more are written in the document."""
SECOND = "second-"
MATCH_FIELDS = {
    "second": "spec.versions[1].name",
    "second-image": "spec.versions[1].workload.image",
    "second-labels": "spec.versions[1].existing.labels",
    "second-weight": "spec.traffic[1].weight",
    **{f"match{row}": f"spec.trafficMatches[{row}]" for row in range(ROWS)},
    **{f"match{row}-arm": f"spec.trafficMatches[{row}].name" for row in range(ROWS)},
    "sticky": "spec.sticky",
}
"""Where the fields stand in the document, where each row above is filled."""
HOW = ("exact", "prefix", "regex", "cookie")


def second_of(given: Mapping[str, str]) -> dict[str, str] | None:
    """Return the fields of the second version as those of a version; None where the form names none."""
    if not given.get("second"):
        return None
    own = {name: given.get(f"{SECOND}{name}", "") for name in ("image", "labels")}
    return {**given, **own, "version": given["second"]}


def shares_of(given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the weights: what the second version does not get is the first one's."""
    first, asked = given.get("version", ""), given.get("second-weight", "")
    if not given.get("second") or asked in ("", "0"):
        return [{"version": first, "weight": 100}]
    weight = number(asked)
    rest = 100 - weight if isinstance(weight, int) and 0 <= weight <= 100 else 100
    found = [{"version": first, "weight": rest}, {"version": given["second"], "weight": weight}]
    return [share for share in found if share["weight"] != 0]


def matches_of(given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the matches of the rows that say something, in order."""
    return [_match(given, row) for row in rows_of(given)]


def rows_of(given: Mapping[str, str]) -> list[int]:
    """Return the rows that say something, in order: the document's matches."""
    parts = ("", "-value", "-arm")
    return [row for row in range(ROWS) if any(given.get(f"match{row}{part}", "").strip() for part in parts)]


def sticky_of(given: Mapping[str, str]) -> dict[str, Any]:
    """Return by what the weights keep callers; empty where they do not."""
    name, by = given.get("sticky-name", ""), given.get("sticky", "")
    if by == "header":
        return {"header": name}
    return {"cookie": {"name": name}} if by == "cookie" else {}


def _match(given: Mapping[str, str], row: int) -> dict[str, Any]:
    name, value = given.get(f"match{row}", ""), given.get(f"match{row}-value", "")
    how, arm = given.get(f"match{row}-how") or HOW[0], given.get(f"match{row}-arm")
    asked = {"cookie": {"name": name, "value": value}} if how == "cookie" else {"headers": {name: {how: value}}}
    version = given.get("second") or given.get("version", "")
    return {**({"name": arm} if arm else {}), **asked, "version": version}
