"""One golden case: documents and what is observed go in, every object that should be there comes out."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from istio_templates import names
from istio_templates.catalog import in_order, render_slot
from istio_templates.documents import load, parse
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import Manifest, ObjectKey, SlotFacts
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.limits.stages import StagedLimits, StageTracker
from k8s_manager.offline.offline_world import planned, world_of
from k8s_manager.pipeline import facts
from k8s_manager.pipeline.plan import Plan, plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.traffic.resolver import in_release
from k8s_manager.world.world import World
from ratelimiter import controller, pins
from ratelimiter.controller import LimitTarget, Observation
from ratelimiter.target import target, total, within_tenant_ceilings
from tests.golden.access import with_observed_access

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(file.name.removesuffix(".in.yaml") for file in FOLDER.glob("*.in.yaml"))


def rendered(case: str) -> list[Manifest]:
    """Return what is rendered for a case, its limits included, in the order in which it is made."""
    return rendered_text((FOLDER / f"{case}.in.yaml").read_text())


def rendered_text(text: str) -> list[Manifest]:
    """Return what is rendered for the text of a case; `warm: true` in it has the pods be warm as they are observed."""
    documents = load(text)
    observed: dict[str, Any] = {}
    if documents[0]["kind"] == "Observed":
        observed = documents.pop(0)
    world = world_of([parse(document) for document in documents], observed.get("uids", {}))
    if observed.get("secrets") is not None:
        world = dataclasses.replace(world, secrets=frozenset(tuple(s.split("/")) for s in observed["secrets"]))
    world = _released(world, observed.get("rollouts", {}))
    if observed.get("warm"):
        ready = {tuple(place.split("/")): count for place, count in observed["ready"].items()}
        world = dataclasses.replace(world, ready=ready)
    plan = planned(world)
    closed = _closed(plan, observed)
    if closed:
        plan = plan_once(world, closed)
    plan = with_observed_access(plan, observed.get("access", {}))
    desired = Renderer().render(plan)
    objects = {**desired.objects, **_slots(plan, observed)}
    return in_order(objects.values())


def _released(world: World, rollouts: dict[str, Any]) -> World:
    """Return the world in which models (`namespace/name`) have these in `status.rollout`."""
    statuses = {ObjectKey("Model", *place.split("/")): {"rollout": found} for place, found in rollouts.items()}
    models = (dataclasses.replace(stored, status=statuses.get(stored.key, {})) for stored in world.models)
    return dataclasses.replace(world, models=tuple(in_release(stored, world) for stored in models))


def _wanted(plan: Plan, observed: dict[str, Any]) -> dict[str, LimitTarget]:
    ready = observed.get("ready", {})
    totals = {}
    for identity, limited in plan.limits.items():
        if limited.terms.mode == "off":
            continue
        place = f"{limited.terms.namespace}/{limited.terms.model}"
        counts = {v.name: ready.get(f"{place}/{v.name}", 0) for v in limited.spec.versions}
        loads = facts.loads(limited.spec, counts, limited.terms.version)
        totals[identity] = (limited.terms, total(limited.terms, loads, True), loads)
    scaled = within_tenant_ceilings({identity: found[:2] for identity, found in totals.items()})
    pods, staged = observed.get("gatewayPods", {}), _staged(plan)
    wanted = {}
    for identity, (terms, _, loads) in totals.items():
        found = staged.stages.get(identity.whole)
        gateways, enforced = sum(pods.get(p, 1) for p in terms.pools), found.enforced if found else 100
        wanted[identity] = LimitTarget(terms, target(terms, scaled[identity], loads, gateways, False, enforced))
        if found and found.pinned and not terms.version:
            wanted[identity.of_part(names.REQUESTS)] = pins.counting(terms)
    return wanted


def _staged(plan: Plan) -> StagedLimits:
    return StageTracker(ShadowCounts(SystemClock(), asyncio.Event())).stage(plan.limits, {}, {}, frozenset(), 0.0)


def _closed(plan: Plan, observed: dict[str, Any]) -> dict[str, str]:
    return {i: "no replica is ready" for i, w in _wanted(plan, observed).items() if w.target.total.closed}


def _slots(plan: Plan, observed: dict[str, Any]) -> dict[ObjectKey, Manifest]:
    seen = Observation(0.0, _wanted(plan, observed), frozenset(), {}, placed=_staged(plan).placed)
    decision, _ = controller.decide(controller.LimitState(), seen, 0.0)
    slots = [
        SlotFacts(pool, number, decision.writes.get((name, number), ()))
        for name, pool in plan.pools.items()
        for number in range(names.SLOTS)
    ]
    return {names.key_of(obj): obj for slot in slots for obj in render_slot(slot)}


def shown(case: str) -> list[Manifest]:
    """Return what a golden file holds: everything, but for the slots that stand the same in each gateway."""
    objects = rendered(case)
    if "full: true" in (FOLDER / f"{case}.in.yaml").read_text():
        return objects
    return [obj for obj in objects if obj["kind"] != "EnvoyFilter" or limits_of(obj) or _is_asked_for(obj)]


def _is_asked_for(obj: Manifest) -> bool:
    name = str(obj["metadata"]["name"])
    if name.endswith(("-endpoint-stats", "-access-log")) or "-sticky." in name:
        return True
    return any("matcher" in patch["patch"]["value"].get("typed_config", {}) for patch in obj["spec"]["configPatches"])
