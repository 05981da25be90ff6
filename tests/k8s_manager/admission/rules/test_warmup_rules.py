"""What is known of a warm-up plan belongs to its owner and goes with the plan's document."""

import gc

import pytest

from istio_templates.documents import WarmupPlanSpec
from k8s_manager.admission.rules import warmup_rules
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from warmup.plans.bundle import Bundle


@pytest.fixture
def compiled(monkeypatch):
    """Return the names of the models whose plans were compiled."""
    found = []
    monkeypatch.setattr(warmup_rules, "_problems", lambda bundle: found.append(bundle.model) or ())
    return found


def bundle(model: str = "ranker") -> Bundle:
    return Bundle(model, WarmupPlanSpec.model_construct(), {})


def test_a_plan_is_compiled_once_for_each_model(compiled):
    checks, plan = PlanChecks(), bundle()
    checks.problems(plan)
    checks.problems(plan)
    checks.problems(Bundle("other", plan.spec, {}))
    assert compiled == ["ranker", "other"]


def test_a_copy_knows_the_same_plans_and_keeps_what_it_finds_to_itself(compiled):
    checks, plan, later = PlanChecks(), bundle(), bundle("later")
    checks.problems(plan)
    copy = checks.copy()
    copy.problems(plan)
    copy.problems(later)
    assert compiled == ["ranker", "later"]
    checks.problems(later)
    assert compiled == ["ranker", "later", "later"]


def test_what_is_known_of_a_plan_goes_with_it(compiled):
    checks, plan = PlanChecks(), bundle()
    checks.problems(plan)
    copy = checks.copy()
    del plan
    gc.collect()
    assert not checks._known and not copy._known
