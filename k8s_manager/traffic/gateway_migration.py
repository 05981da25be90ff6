"""Migration of a tenant from one gateway to another without losing a request. Pure.

Clients find the new gateway when DNS names it and when their connections end. So a tenant that migrates is served by
the old gateway until the new one has a ready pod, then by both for `overlap` seconds, then by the new one alone. The
tenant's status holds how far a migration is, so that a restarted manager goes on with it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.tenant_gateways import Binding

SHOWN = 5
"""Routes that a message names."""


def binding(
    status: Mapping[str, Any],
    wanted: str,
    lacks: str | None,
    now: datetime,
    overlap: float,
    absent: Sequence[str] = (),
) -> Binding:
    """Return the gateways of a tenant that asks for the gateway `wanted`; `lacks` says why that cannot serve yet.

    As long as some of its routes are `absent` there, the overlap does not pass: a write fails, or a Git tree has yet to
    bring the Gateway.
    """
    bound, moving = status.get("gateway") or wanted, status.get("moving") or {}
    until = moving.get("until") if _lasts(moving, now) else None
    is_moving = isinstance(moving.get("from"), list)
    if absent and is_moving and not _lasts(moving, _later(now, overlap / 2)):
        until = timestamp(_later(now, overlap))
    former = [str(name) for name in moving["from"]] if until else []
    late = f"routes {_listed(absent)} are not at gateway {bound} yet" if absent and is_moving and former else None
    if bound != wanted and lacks is None:
        until = timestamp(_later(now, overlap))
        return Binding(tuple(dict.fromkeys([wanted, bound, *former])), until)
    gateways = tuple(dict.fromkeys([bound, *former]))
    waits = f"{late}, so gateway {', '.join(former)} serves on; see the conditions of these models" if late else None
    if bound != wanted:
        waits = f"gateway {wanted} {lacks}, so gateway {bound} still serves this tenant; provide what {wanted} lacks"
    return Binding(gateways, until if len(gateways) > 1 else None, waits)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def due(bindings: Mapping[str, Binding], now: datetime) -> float | None:
    """Return in how many seconds the next migration ends."""
    ends = [datetime.fromisoformat(found.until) for found in bindings.values() if found.until]
    return max(0.0, (min(ends) - now).total_seconds()) if ends else None


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _lasts(moving: Mapping[str, Any], now: datetime) -> bool:
    try:
        return datetime.fromisoformat(moving["until"]) > now
    except (KeyError, TypeError, ValueError):
        return False
