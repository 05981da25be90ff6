"""Lines of the access log, as a gateway writes them."""

from collections.abc import Callable

import orjson

from collectors.access_log.engine import text_of
from collectors.access_log.rows import RowPlace
from istio_templates.access_log.line_format import FIELDS

BEGIN = 1_764_430_000
"""The start of a window, in epoch seconds."""


def line(moment: float, tenant: str = "search", model: str = "ranker", **values: object) -> bytes:
    """Return one line about a request that ended at a moment (epoch seconds)."""
    record: dict[str, object] = dict.fromkeys(FIELDS)
    record |= {
        "schema": "gw/1",
        "gateway": "shared",
        "time": text_of(moment),
        "start": text_of(moment),
        "duration_us": 20_000,
        "duration_ms": 20,
        "status": 200,
        "flags": "-",
        "details": "via_upstream",
        "route": f"{tenant}.{model}.0",
        "route_config": f"/apis/networking.istio.io/v1/namespaces/{tenant}/virtual-service/{model}",
        "cluster": f"outbound|8080|v1|{model}.{tenant}.svc.cluster.local",
        "bytes_in": 10,
        "bytes_out": 100,
    }
    return orjson.dumps(record | values)


LIMITED = {"status": 429, "flags": "RL", "details": "local_rate_limited", "duration_us": 100, "duration_ms": 0}


def at_level(level: str) -> Callable[[RowPlace], bool]:
    """Return what selects the places of a level."""
    return lambda place: place.level == level
