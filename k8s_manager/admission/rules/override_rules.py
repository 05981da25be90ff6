"""Rules for LimitOverrides, by the namespace that they are in, and the facts of an accepted one. Pure.

Overrides of operators are in the manager's own namespace and may target anything. Those of a tenant are in its
namespace: they target its own models, inside its range. Kubernetes decides who may write to which namespace.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from istio_templates.documents.fields import exact
from istio_templates.documents.override import LimitOverrideSpec, moment
from istio_templates.documents.tenant import OwnRange, TenantSpec
from istio_templates.facts import ObjectKey
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.rules.rejection import Rejection, invalid, not_found
from k8s_manager.world.installation import SYSTEM
from ratelimiter.capacity import LimitBounds
from ratelimiter.overrides import Override, OverrideScope


def override_name(target: Mapping[str, Any]) -> str:
    """Return the name of an override, made from its target.

    The same target has the same name, so that the newer override replaces the older; no two targets share one.
    """
    labels = [f"{key}-{value}" for key, value in sorted(target.get("labels", {}).items())]
    named = [str(target[part]) for part in ("gateway", "tenant", "model") if part in target]
    words = re.sub(r"[^a-z0-9]+", "-", "-".join([*named, *labels]).lower()).strip("-") or "everything"
    digest = hashlib.blake2b(json.dumps(target, sort_keys=True).encode(), digest_size=3).hexdigest()
    return f"{words[:56].rstrip('-')}-{digest}"


def check_override(namespace: str, spec: LimitOverrideSpec, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against an override in `namespace`."""
    if namespace == SYSTEM:
        for check in OPERATOR_CHECKS:
            yield from check(spec, index)
    elif (tenant := index.tenant_of.get(namespace)) is None:
        message = f"namespace {namespace} belongs to no tenant; write operators' overrides to namespace {SYSTEM}"
        yield invalid("metadata.namespace", message)
    else:
        yield from _range(spec, tenant, index.tenants[tenant])
        if spec.target.model and (namespace, spec.target.model) not in index.models:
            message = f"tenant {tenant} has no model {spec.target.model}; name one of its models"
            yield not_found("spec.target.model", message)


def _unknown_tenant(spec: LimitOverrideSpec, index: ClaimIndex) -> Iterator[Rejection]:
    if spec.target.tenant and spec.target.tenant not in index.tenants:
        message = f"tenant {spec.target.tenant} does not exist; choose one of: {_some(index.tenants)}"
        yield not_found("spec.target.tenant", message)


def _unknown_gateway(spec: LimitOverrideSpec, index: ClaimIndex) -> Iterator[Rejection]:
    if spec.target.gateway and spec.target.gateway not in index.gateways:
        message = f"gateway {spec.target.gateway} does not exist; choose one of: {_some(index.gateways)}"
        yield not_found("spec.target.gateway", message)


def _unknown_model(spec: LimitOverrideSpec, index: ClaimIndex) -> Iterator[Rejection]:
    target = spec.target
    if not target.model:
        return
    tenants = {index.tenant_of.get(namespace, namespace) for namespace, name in index.models if name == target.model}
    if not tenants or target.tenant not in (None, *tenants):
        of = f"tenant {target.tenant} has" if target.tenant else "there is"
        message = f"{of} no model {target.model}; name an existing model"
        yield not_found("spec.target.model", message)


OPERATOR_CHECKS: tuple[Callable[[LimitOverrideSpec, ClaimIndex], Iterator[Rejection]], ...] = (
    _unknown_tenant,
    _unknown_gateway,
    _unknown_model,
)


def _some(names: Mapping[str, object]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "") or "none"


def _range(spec: LimitOverrideSpec, tenant: str, owner: TenantSpec) -> Iterator[Rejection]:
    """Reject what only operators may override."""
    own = owner.rate_limit.range if owner.rate_limit else None
    if own is None:
        message = (
            f"tenant {tenant} has no spec.rateLimit.range, so only operators may override its limits; ask an operator "
            "to set the range or the override"
        )
        yield invalid("metadata.namespace", message)
        return
    if spec.target.everything or spec.target.gateway or spec.target.tenant not in (None, tenant):
        message = f"the override also targets other tenants; target models or labels of tenant {tenant} only"
        yield invalid("spec.target", message)
    if spec.action or spec.mode:
        message = "freezes, the kill switch and modes are reserved for operators; set total or perReplicaQps"
        yield invalid("spec.action" if spec.action else "spec.mode", message)
    if spec.total is not None and not own.lowest <= spec.total <= own.highest:
        message = (
            f"{spec.total:g} is outside the range of tenant {tenant}; choose a value from {own.lowest:g} to "
            f"{own.highest:g}"
        )
        yield invalid("spec.total", message)


def override(key: ObjectKey, spec: LimitOverrideSpec, owner: tuple[str, OwnRange | None] | None) -> Override | None:
    """Return the facts of an override: an operator's, or one of the tenant that owns the namespace and has a range;
    None for any other."""
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
