"""Which revision of every slot a gateway pod runs now: one GET, answered by the pod's own Envoy.

Every slot adds its revision to the answer as the size of the probe's bucket. It proves every limit in the slot, since
Envoy takes a slot's configuration as a whole or not at all.
"""

import re
from collections.abc import Iterable, Mapping

import aiohttp

from collectors import http
from istio_templates import names
from istio_templates.envoy_filter import slot_of_revision

PATIENCE = aiohttp.ClientTimeout(total=2, sock_connect=1)


def revisions(values: Iterable[str]) -> dict[int, int]:
    """Return the revision of each slot in the `x-ratelimit-limit` headers of an answer."""
    shown = [int(found[0]) for value in values for part in value.split(",") if (found := re.match(r"\s*\d+", part))]
    return {slot: value for value in shown if (slot := slot_of_revision(value)) is not None}


async def running(session: aiohttp.ClientSession, address: str, port: int, secret: str) -> Mapping[int, int] | None:
    """Return the revision of each slot that a gateway pod runs; None where it does not answer the probe."""
    headers = {"Host": names.PROBE_HOST, names.PROBE_HEADER: secret}
    try:
        async with session.get(http.url(address, port, "/"), headers=headers, timeout=PATIENCE) as answer:
            return revisions(answer.headers.getall("x-ratelimit-limit", [])) if answer.status == 204 else None
    except (TimeoutError, aiohttp.ClientError, OSError):
        return None
