"""Which replicas a gateway pod has sent requests to, from what its Envoy counts for each endpoint.

A gateway pod shows that where its clusters have `per_endpoint_stats` (`endpointStats` of the InferenceGateway).
"""

import asyncio
import re

import aiohttp

from collectors import http
from istio_templates.host_port import parted

_QUERY = "filter=endpoint.*rq_total"
_LINE = re.compile(
    r'^envoy_cluster_endpoint_rq_total\{[^}]*envoy_endpoint_address="(?P<address>[^"]+)"[^}]*\} (?P<value>\d+)$',
    re.MULTILINE,
)


def parse(text: str) -> dict[str, int]:
    """Return the requests by the endpoint's address, its port left out, from statistics as Prometheus reads them."""
    out: dict[str, int] = {}
    for line in _LINE.finditer(text):
        address = parted(line["address"])[0]
        out[address] = out.get(address, 0) + int(line["value"])
    return out


async def read(session: aiohttp.ClientSession, address: str, port: int) -> dict[str, int] | None:
    """Return what a gateway pod has sent to each endpoint; None where it does not tell."""
    shown = await http.text(session, address, port, f"/stats/prometheus?{_QUERY}")
    return None if shown is None else await asyncio.to_thread(parse, shown)
