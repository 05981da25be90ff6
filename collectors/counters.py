"""What a gateway pod has counted in each slot: its Envoy's statistics, from the port that Istio opens for Prometheus.

A pod shows them if its `proxyStatsMatcher` includes `http_local_rate_limit`; managed gateways have that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from collectors import http

_QUERY = "filter=http_local_rate_limit"
# Envoy takes the prefix out of the name and into a label; where a bootstrap names other tags, it stays in the name.
_LINE = re.compile(
    r"^envoy_(?:tidegate_slot_(?P<named>\d+)_)?http_local_rate_limit_(?P<what>enabled|rate_limited|enforced)"
    r"\{(?:[^}]*tidegate_slot_(?P<labelled>\d+)[^}]*)?[^}]*\} (?P<value>\d+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What came to a slot's filter since the pod began: all requests, those beyond a limit, those that were refused."""

    requests: int = 0
    beyond: int = 0
    refused: int = 0


def parse(text: str) -> dict[int, Counts]:
    """Return what each slot has counted, from statistics as Prometheus reads them."""
    found: dict[int, dict[str, int]] = {}
    for line in _LINE.finditer(text):
        if slot := line["named"] or line["labelled"]:
            found.setdefault(int(slot), {})[line["what"]] = int(line["value"])
    return {
        slot: Counts(values.get("enabled", 0), values.get("rate_limited", 0), values.get("enforced", 0))
        for slot, values in found.items()
    }


def increase(before: Counts, after: Counts) -> Counts:
    """Return what was added between two readings; a count that fell was reset."""
    return Counts(
        _added(before.requests, after.requests),
        _added(before.beyond, after.beyond),
        _added(before.refused, after.refused),
    )


def _added(before: int, after: int) -> int:
    return after - before if after >= before else after


async def read(session: aiohttp.ClientSession, address: str, port: int) -> Mapping[int, Counts] | None:
    """Return what each slot of a gateway pod has counted; None where it does not tell."""
    shown = await http.text(session, address, port, f"/stats/prometheus?{_QUERY}")
    return (parse(shown) or None) if shown is not None else None
