"""render: from the plan to every object that should be there. Pure; equal facts are rendered once."""

import logging
from dataclasses import dataclass

from istio_templates import catalog, names
from istio_templates.documents.gateway import InferenceGatewaySpec
from istio_templates.documents.parse import API_VERSION
from istio_templates.facts import Manifest, ObjectKey, ServedModel, SlotFacts
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.runtime.metrics import RENDERED

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Desired:
    """Objects that should be as they are here, and slots that need only be there: the limit loop writes those."""

    objects: dict[ObjectKey, Manifest]
    slots: dict[ObjectKey, Manifest]


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
            self._get("gateway", name, (pool, tenants_of[name], plan.kept), catalog.render_pool)
            for name, pool in plan.pools.items()
        ]
        found += [self._get("own gateway", name, (name, spec), _dedicated) for name, spec in plan.dedicated.items()]
        found += [self._get("tenant", name, (tenant,), catalog.render_tenant) for name, tenant in plan.tenants.items()]
        found += [self._model(plan, model) for model in plan.models.values()]
        slots = [
            self._get("slot", (name, number), (SlotFacts(pool, number, ()),), catalog.render_slot)
            for name, pool in plan.pools.items()
            for number in range(names.SLOTS)
        ]
        self._memo.end_round()
        return Desired(_merged(found), _merged(slots))

    def _model(self, plan: Plan, model: ServedModel) -> dict[ObjectKey, Manifest]:
        """Return a model's objects; one that nobody foresaw keeps what it has, and stops no other."""
        try:
            return self._get("model", (model.tenant.namespace, model.name), (model,), catalog.render_model)
        except Exception:
            log.exception("model %s/%s cannot be rendered; it keeps what it has", model.tenant.namespace, model.name)
            plan.held.add(("", model.tenant.name, model.name))
            plan.held_models.add((model.tenant.namespace, model.name))
            return {}

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
    return [{**obj, "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True)}]
