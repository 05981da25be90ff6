"""What istiod counts of configurations that gateway pods rejected: `pilot_total_xds_rejects`, at its metrics port."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import aiohttp

from collectors import http
from istio_templates.facts import Manifest

PORT = 15014
_LINE = re.compile(r'^pilot_total_xds_rejects\{[^}]*type="(\w+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)


def is_istiod(pod: Manifest) -> bool:
    """Tell whether a pod is an istiod, by the label that Istio's installation gives it."""
    return bool(pod["metadata"].get("labels", {}).get("app") == "istiod")


def rejects(text: str) -> dict[str, int]:
    """Return how often each type of configuration was rejected since istiod began."""
    return {kind: int(float(count)) for kind, count in _LINE.findall(text)}


async def read(session: aiohttp.ClientSession, addresses: Iterable[str], port: int = PORT) -> Mapping[str, int] | None:
    """Return the rejections that several istiods have counted together; None where none of them tells."""
    answers = await asyncio.gather(*(http.text(session, address, port, "/metrics") for address in addresses))
    found = [Counter(rejects(answer)) for answer in answers if answer is not None]
    return dict(sum(found, Counter())) if found else None
