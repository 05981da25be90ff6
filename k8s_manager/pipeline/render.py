"""render: from the plan to every object that should be there. Pure; equal facts are rendered once."""

import logging
from dataclasses import dataclass

from istio_templates import catalog, names
from istio_templates.callers.access_slot import tenants_of_slot
from istio_templates.documents.gateway import InferenceGatewaySpec
from istio_templates.documents.parse import API_VERSION
from istio_templates.facts import Manifest, ObjectKey, ServedModel, SlotFacts
from k8s_manager.pipeline.access.gateway_access import access_of_pools
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.runtime.metrics import RENDERED

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desired:
    """Objects that should be as they are here, slots that need only exist since the limit loop writes them, and the
    models that cannot be rendered: they keep the objects that they have."""

    objects: dict[ObjectKey, Manifest]
    slots: dict[ObjectKey, Manifest]
    failed: tuple[ServedModel, ...] = ()


class Renderer:
    """Renders pass after pass; `tidegate_rendered_total` counts what was really rendered."""

    def __init__(self) -> None:
        self._memo, self._last = Memo(), Last()

    def render(self, plan: Plan) -> Desired:
        """Return everything that should be there."""
        return self._last.get((id(plan), plan), lambda: self._make(plan))

    def _make(self, plan: Plan) -> Desired:
        tenants_of: dict[str, list[object]] = {name: [] for name in plan.pools}
        for tenant in plan.tenants.values():
            for pool in tenant.gateways:
                tenants_of[pool.name].append(tenant)
        found = [
            self._get("gateway", name, (pool, tenants_of[name], plan.kept_hosts), catalog.render_pool)
            for name, pool in plan.pools.items()
        ]
        found += [self._get("own gateway", name, (name, spec), _dedicated) for name, spec in plan.dedicated.items()]
        found += [self._get("tenant", name, (tenant,), catalog.render_tenant) for name, tenant in plan.tenants.items()]
        found += self._access(plan)
        models = {key: self._model(model) for key, model in plan.models.items()}
        found += [objects for objects in models.values() if objects is not None]
        slots = [
            self._get("slot", (name, number), (SlotFacts(pool, number, ()),), catalog.render_slot)
            for name, pool in plan.pools.items()
            for number in range(names.SLOTS)
        ]
        self._memo.end_round()
        failed = tuple(plan.models[key] for key, objects in models.items() if objects is None)
        return Desired(_merged(found), _merged(slots), failed)

    def _access(self, plan: Plan) -> list[dict[ObjectKey, Manifest]]:
        """Return what checks callers, of the gateways that serve a tenant whose callers are checked."""
        found = []
        for name, tenants in access_of_pools(plan).items():
            pool = plan.pools[name]
            found.append(self._get("access", name, (pool,), catalog.render_access))
            for slot in range(names.ACCESS_SLOTS):
                facts = (pool, slot, tenants_of_slot(slot, tenants))
                found.append(self._get("access slot", (name, slot), facts, catalog.render_access_slot))
        return found

    def _model(self, model: ServedModel) -> dict[ObjectKey, Manifest] | None:
        """Return a model's objects; None where they cannot be rendered: one model stops no other."""
        try:
            return self._get("model", (model.tenant.namespace, model.name), (model,), catalog.render_model)
        except Exception:
            log.exception("model %s/%s cannot be rendered; it keeps what it has", model.tenant.namespace, model.name)
            return None

    def _get(self, what: str, name: object, facts: tuple[object, ...], make: object) -> dict[ObjectKey, Manifest]:
        def rendered() -> dict[ObjectKey, Manifest]:
            RENDERED.labels(what).inc()
            return {names.key_of(obj): obj for obj in make(*facts)}  # type: ignore[operator]

        return self._memo.get((what, name), facts, rendered)


def _merged(parts: list[dict[ObjectKey, Manifest]]) -> dict[ObjectKey, Manifest]:
    out: dict[ObjectKey, Manifest] = {}
    for part in parts:
        out.update(part)
    return out


def _dedicated(tenant: str, spec: InferenceGatewaySpec) -> list[Manifest]:
    labels = {names.MANAGED_BY: names.MANAGER, names.TENANT: tenant}
    obj = names.manifest(API_VERSION, "InferenceGateway", tenant, "", labels)
    return [{**obj, "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"freezes"})}]
