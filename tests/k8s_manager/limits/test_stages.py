"""How far limits in shadow and ramp come, pass after pass; slots hold what the pass before wanted."""

import dataclasses
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from istio_templates.documents import parse
from istio_templates.facts import Bucket
from istio_templates.names import REQUESTS, identity
from k8s_manager.limits.capacity import ModelCapacity
from k8s_manager.limits.stages import StagedLimits, StageTracker
from k8s_manager.limits.targets import TargetCalculator
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.model_plan import Limited
from k8s_manager.pipeline.plan import plan_once
from ratelimiter.controller import LimitState
from ratelimiter.modes import Evidence, Stage
from ratelimiter.overrides import Override, OverrideScope
from ratelimiter.pins import limiter
from ratelimiter.target import Total
from tests.support.documents import gateway, model, tenant

RANKER = identity("search", "ranker")
RAMP = {"mode": "ramp", "ramp": {"over": "1000s"}}  # a step each 50 s
VERDICT = {"verdict": {"refusedAtMost": 1, "over": "10m"}}


class Given:
    """Evidence that a test gives."""

    def __init__(self):
        self.found, self.forgotten = None, []

    def evidence(self, _, over=3600.0):
        return self.found

    def forget(self, key):
        self.found = None
        self.forgotten.append(key)


class Stand:
    """A gateway on which models are staged: what a pass wants is in the slots at the next."""

    def __init__(self, slots=None):
        self.counted, self.slots = Given(), slots or {}
        self.staging = StageTracker(self.counted)

    def look(self, now, override=None, models=("ranker",), slots=None, **limit):
        spec = {"rateLimit": {"perReplicaQps": 20, **limit}}
        documents = [gateway(), tenant(), *(model(name, **spec) for name in models)]
        plan = plan_once(world_of([parse(document) for document in documents]), {})
        holding = dict.fromkeys(plan.limits, override) if override else {}
        found = self.staging.stage(plan.limits, holding, self.slots if slots is None else slots, frozenset(), now)
        self.slots = {
            (pool, number): ((key, Bucket(10, 1, 2, found.stages[key].enforced)),)
            for (pool, key), number in found.placed.items()
            if key in found.stages
        }
        for key, limited in plan.limits.items():
            lifted = override and (override.action == "unlimited" or override.mode == "off")
            if key not in found.holders and not lifted and (key not in found.stages or not found.stages[key].pinned):
                self.slots["shared", limited.terms.slot] = ((key, Bucket(10, 1, 2)),)
        return found

    def share(self, now, override=None, **limit):
        """Return for how many per cent the model's limit is enforced."""
        stage = self.look(now, override, **limit).stages.get(RANKER)
        return stage.enforced if stage else 100


def override(**change):
    end = datetime(2999, 1, 1, tzinfo=UTC)
    return dataclasses.replace(Override("o", "anna", "because", end, OverrideScope()), **change)


def ramped(share):
    """Return a stand at which the model's ramp has come to so many per cent, and when that was."""
    stand = Stand()
    now = 50.0 * (share // 5 - 1)
    stand.share(0.0, **RAMP)
    assert stand.share(now, **RAMP) == share
    return stand, now


def test_a_ramp_that_goes_back_to_shadow_begins_again_from_the_start():
    stand, now = ramped(20)
    assert stand.share(now + 10, mode="shadow") == 0
    assert stand.share(now + 90_000, **RAMP) == 5


def test_a_model_that_is_made_again_begins_again():
    stand, now = ramped(20)
    stand.look(now + 1, models=())
    stand.slots = {}
    assert stand.share(now + 90_000, **RAMP) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "shadow"},
        {"mode": "off"},
        {"mode": "enforce"},
        {"action": "freeze"},
        {"action": "floor"},
        {"action": "unlimited"},
    ],
)
def test_a_ramp_goes_on_where_it_was_when_an_override_ends(change):
    stand, now = ramped(20)
    for later in (1, 1800, 3600):
        stand.look(now + later, override(**change), **RAMP)
    assert stand.share(now + 3601, **RAMP) == 20
    assert stand.share(now + 3652, **RAMP) == 25


@pytest.mark.parametrize("change", [{"mode": "off"}, {"action": "unlimited"}, {"mode": "shadow"}])
def test_a_ramp_that_is_over_stays_over_after_an_override(change):
    stand, now = ramped(100)
    stand.look(now + 1, override(**change), **RAMP)
    assert stand.share(now + 100, **RAMP) == 100


@pytest.mark.parametrize("change", [{"action": "unlimited"}, {"action": "floor"}, {"mode": "enforce"}, {"mode": "off"}])
def test_who_waits_for_a_verdict_goes_on_waiting_after_an_override(change):
    stand = Stand()
    stand.look(0.0, mode="shadow", **VERDICT)
    assert stand.look(1.0, mode="enforce", **VERDICT).stages[RANKER].awaits
    stand.look(2.0, override(**change), mode="enforce", **VERDICT)
    assert stand.look(3.0, mode="enforce", **VERDICT).stages[RANKER].awaits
    stand.counted.found = Evidence(0, 100, 600)
    assert stand.share(4.0, mode="enforce", **VERDICT) == 100


def test_what_was_counted_against_another_limit_is_no_evidence():
    stand = Stand()
    stand.look(0.0, mode="shadow", **VERDICT)
    stand.counted.found = Evidence(0, 100, 600)
    found = stand.look(1.0, mode="enforce", perReplicaQps=2, **VERDICT)
    assert found.stages[RANKER].awaits and stand.counted.forgotten == [RANKER]


def test_a_ramp_that_is_made_longer_stays_where_it_is():
    stand, now = ramped(55)
    assert stand.share(now + 1, mode="ramp", ramp={"over": "1h"}) == 55


def test_a_ramp_without_a_pair_of_slots_does_not_go_on_in_secret():
    stand = Stand(
        {("shared", limiter(pair)): ((identity("search", n), Bucket(9, 1, 2, 0)),) for pair, n in enumerate("abcd")}
    )
    held = dict(stand.slots)
    names = ("a", "b", "c", "d", "ranker")
    for later in (0.0, 900.0, 2000.0):
        found = stand.look(later, models=names, slots=held, mode="ramp", ramp={"over": "1000s"})
        if later == 0.0:
            assert found.holders.keys() == {RANKER}
    assert found.stages[RANKER].enforced == 5


def test_a_shared_slot_that_somebody_has_edited_is_no_shadow():
    stand = Stand()
    stand.look(0.0, mode="enforce", **VERDICT)
    ((slot, limits),) = stand.slots.items()
    spoilt = {slot: tuple((key, dataclasses.replace(bucket, enforced=0)) for key, bucket in limits)}
    assert Stand(spoilt).share(1.0, mode="enforce", **VERDICT) == 100
    assert Stand(spoilt).share(1.0, **RAMP) == 100


def test_another_manager_goes_on_from_the_slots():
    stand, now = ramped(35)
    assert Stand(stand.slots).share(now, **RAMP) == 35


def test_a_frozen_limit_whose_document_asks_for_shadow_stays_enforced_until_the_freeze_ends():
    stand, frozen = Stand(), override(action="freeze")
    assert stand.share(0) == 100
    assert [stand.share(now, frozen, mode="shadow") for now in (1, 2, 3)] == [100, 100, 100]
    assert stand.share(4, mode="shadow") == 0


def test_a_model_that_waits_for_slots_or_is_frozen_wakes_nobody():
    slots = {("shared", limiter(pair)): ((identity("search", n), Bucket(9, 1, 2, 0)),) for pair, n in enumerate("abcd")}
    stand, names = Stand(), ("a", "b", "c", "d", "ranker")
    shadows = {"models": names, "slots": slots, **RAMP}
    assert stand.look(0.0, **shadows).stages[RANKER] == stand.look(7.0, **shadows).stages[RANKER]
    frozen = override(action="freeze")
    fresh = Stand()
    assert fresh.look(0.0, frozen, **RAMP) == fresh.look(7.0, frozen, **RAMP)


def test_who_asked_for_shadow_and_got_no_slots_is_in_shadow_all_the_same():
    slots = {("shared", limiter(pair)): ((identity("search", n), Bucket(9, 1, 2, 0)),) for pair, n in enumerate("abcd")}
    stand = Stand()
    names = ("a", "b", "c", "d", "ranker")
    assert RANKER in stand.look(0.0, models=names, slots=slots, mode="shadow", **VERDICT).holders
    assert stand.look(1.0, slots={}, mode="enforce", **VERDICT).stages[RANKER].awaits


def test_what_was_counted_under_an_override_of_the_figure_is_no_evidence():
    stand = Stand()
    stand.look(0.0, mode="shadow", **VERDICT)
    stand.look(1.0, override(total=Fraction(100_000)), mode="shadow", **VERDICT)
    stand.counted.found = Evidence(0, 100, 600)
    assert stand.look(2.0, mode="enforce", **VERDICT).stages[RANKER].awaits


class Slots:
    """A world reader that shows no slot."""

    def __init__(self):
        self.slots = self

    def limited(self):
        return frozenset()

    def limits(self):
        return {}


def test_a_model_that_is_pinned_in_one_of_two_gateways_is_counted_and_limited_there_only():
    terms = dataclasses.replace(_terms(), pools=("full", "free"))
    counted = {RANKER: ModelCapacity(Limited(terms, None), True, {}, None, None, None, (), TOTAL)}
    placed = {("free", RANKER): 1, ("free", RANKER.of_part(REQUESTS)): 0}
    staged = StagedLimits({RANKER: Stage(0)}, placed)
    found = TargetCalculator(Slots()).targets(counted, {RANKER: TOTAL}, {"full": 1, "free": 1}, staged, LimitState())
    assert {key: wanted.terms.pools for key, wanted in found.items()} == dict.fromkeys(found, ("free",))
    assert len(found) == 2 and found[RANKER].target.gateways == 2


TOTAL = Total(Fraction(40), Fraction(40), "Capacity")


def _terms():
    documents = [gateway(), tenant(), model(rateLimit={"perReplicaQps": 20, "mode": "shadow"})]
    return plan_once(world_of([parse(document) for document in documents]), {}).limits[RANKER].terms
