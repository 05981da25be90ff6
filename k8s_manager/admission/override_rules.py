"""LimitOverrides as the plan sees them: who may set one for whom, and which models each is for. Pure.

An operator's stand in the manager's own namespace and may be for anything. In a tenant's namespace stand those of the
tenant's own people: for their own models, inside the tenant's range. Kubernetes decides who may write where.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from istio_templates.documents import InferenceGatewaySpec, ModelSpec
from istio_templates.documents.fields import exact
from istio_templates.documents.override import LimitOverrideSpec, moment
from istio_templates.documents.tenant import OwnRange, TenantSpec
from istio_templates.errors import Problem
from istio_templates.facts import ObjectKey
from k8s_manager.world.installation import SYSTEM
from ratelimiter.capacity import LimitBounds
from ratelimiter.overrides import Override, OverrideScope

Wrong = tuple[bool, Problem]  # whether something is merely absent, and what


def override_name(target: Mapping[str, Any]) -> str:
    """Return a name that says for whom an override is.

    The same target has the same name, so that the newer replaces the older; no two targets share one.
    """
    labels = [f"{key}-{value}" for key, value in sorted(target.get("labels", {}).items())]
    named = [str(target[part]) for part in ("gateway", "tenant", "model") if part in target]
    words = re.sub(r"[^a-z0-9]+", "-", "-".join([*named, *labels]).lower()).strip("-") or "everything"
    digest = hashlib.blake2b(json.dumps(target, sort_keys=True).encode(), digest_size=3).hexdigest()
    return f"{words[:56].rstrip('-')}-{digest}"


class ClaimLookup(Protocol):
    """What is asked of the fleet."""

    tenants: dict[str, TenantSpec]
    tenant_of: dict[str, str]
    gateways: dict[str, InferenceGatewaySpec]
    models: dict[tuple[str, str], ModelSpec]


def wrong(namespace: str, spec: LimitOverrideSpec, held: ClaimLookup) -> Iterator[Wrong]:
    """Yield what is wrong with an override that stands in `namespace`."""
    if namespace == SYSTEM:
        yield from _absent(spec, held)
    elif (tenant := held.tenant_of.get(namespace)) is None:
        message = f"{namespace} belongs to no tenant; operators' overrides go to namespace {SYSTEM}"
        yield False, Problem("metadata.namespace", message)
    else:
        yield from _beyond(spec, tenant, held.tenants[tenant])
        if spec.target.model and (namespace, spec.target.model) not in held.models:
            yield True, Problem("spec.target.model", f"tenant {tenant} has no model {spec.target.model}")


def _absent(spec: LimitOverrideSpec, held: ClaimLookup) -> Iterator[Wrong]:
    target = spec.target
    if target.tenant and target.tenant not in held.tenants:
        message = f"there is no tenant {target.tenant}; tenants are {_some(held.tenants)}"
        yield True, Problem("spec.target.tenant", message)
    if target.gateway and target.gateway not in held.gateways:
        message = f"there is no gateway {target.gateway}; gateways are {_some(held.gateways)}"
        yield True, Problem("spec.target.gateway", message)
    if target.model:
        named = sorted(f"{held.tenant_of.get(place, place)}/{name}" for place, name in held.models)
        wanted = [n for n in named if n.endswith(f"/{target.model}") and target.tenant in (None, n.split("/")[0])]
        if not wanted:
            of = f"tenant {target.tenant}" if target.tenant else "any tenant"
            yield True, Problem("spec.target.model", f"there is no model {target.model} of {of}")


def _some(names: Mapping[str, object]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "") or "none yet"


def _beyond(spec: LimitOverrideSpec, tenant: str, owner: TenantSpec) -> Iterator[Wrong]:
    own = owner.rate_limit.range if owner.rate_limit else None
    if own is None:
        message = f"tenant {tenant} has no spec.rateLimit.range; an operator gives it one, or sets the override"
        yield False, Problem("metadata.namespace", message)
        return
    if spec.target.everything or spec.target.gateway or spec.target.tenant not in (None, tenant):
        yield False, Problem("spec.target", f"is for others too; name models or labels of tenant {tenant} only")
    if spec.action or spec.mode:
        message = "freezes, the kill switch and modes are for operators; set total or perReplicaQps"
        yield False, Problem("spec.action" if spec.action else "spec.mode", message)
    if spec.total is not None and not own.lowest <= spec.total <= own.highest:
        message = f"{spec.total:g} is outside the tenant's range, {own.lowest:g} to {own.highest:g}"
        yield False, Problem("spec.total", message)


def override(key: ObjectKey, spec: LimitOverrideSpec, owner: tuple[str, OwnRange | None] | None) -> Override | None:
    """Return the facts of an override, by where it stands: an operator's, or one of the people of the tenant that owns
    the namespace and has a range; None where it is neither."""
    target, tenant, own = spec.target, None, None
    if key.namespace != SYSTEM:
        tenant, own = owner or (None, None)
        if tenant is None or own is None:
            return None
    return Override(
        name=f"{key.namespace}/{key.name}",
        author=spec.author,
        reason=spec.reason,
        expires=moment(spec.expires),
        target=OverrideScope(
            tenant or target.tenant or "", target.model or "", target.gateway or "", _pairs(target.labels)
        ),
        per_replica=None if spec.per_replica_qps is None else exact(spec.per_replica_qps),
        total=None if spec.total is None else exact(spec.total),
        mode=spec.mode,
        action=spec.action,
        range_=LimitBounds(exact(own.lowest), exact(own.highest)) if own else None,
    )


def _pairs(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())
