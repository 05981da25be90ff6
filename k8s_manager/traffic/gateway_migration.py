"""Moving a tenant from one gateway to another without losing a request. Pure.

Clients find the new gateway when DNS tells them and when their connections end. So a tenant that moves is served by
the old gateway until the new one has a ready pod, then by both for `overlap` seconds, then by the new one alone. How
far a move has come stands in the tenant's status, so that a restarted manager goes on with it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.binding import Binding


def binding(
    status: Mapping[str, Any],
    wanted: str,
    lacks: str | None,
    now: datetime,
    overlap: float,
    has_arrived: bool = True,
) -> Binding:
    """Return where a tenant is served that asks for the gateway `wanted`; `lacks` says why that cannot serve yet.

    As long as its routes have not arrived there (a Git tree brings the Gateway), the overlap does not pass.
    """
    bound, moving = status.get("gateway") or wanted, status.get("moving") or {}
    until = moving.get("until") if _lasts(moving, now) else None
    if not has_arrived and isinstance(moving.get("from"), list) and not _lasts(moving, _later(now, overlap / 2)):
        until = timestamp(_later(now, overlap))
    former = [str(name) for name in moving["from"]] if until else []
    if bound != wanted and lacks is None:
        until = timestamp(_later(now, overlap))
        return Binding(tuple(dict.fromkeys([wanted, bound, *former])), until)
    gateways = tuple(dict.fromkeys([bound, *former]))
    waits = None
    if bound != wanted:
        waits = f"gateway {wanted} {lacks}, so gateway {bound} still serves this tenant; provide what {wanted} lacks"
    return Binding(gateways, until if len(gateways) > 1 else None, waits)


def due(bindings: Mapping[str, Binding], now: datetime) -> float | None:
    """Return in how many seconds the next move ends."""
    ends = [datetime.fromisoformat(found.until) for found in bindings.values() if found.until]
    return max(0.0, (min(ends) - now).total_seconds()) if ends else None


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _lasts(moving: Mapping[str, Any], now: datetime) -> bool:
    try:
        return datetime.fromisoformat(moving["until"]) > now
    except (KeyError, TypeError, ValueError):
        return False
