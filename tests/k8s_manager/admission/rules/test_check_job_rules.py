"""Jobs of checks: what their tenant's pods may not do, or Kubernetes does not take, is refused at the field."""

import pytest

from istio_templates.documents.rollouts.rollout import RolloutPolicy
from istio_templates.documents.tenant import PodRules
from k8s_manager.admission.rules.check_job_rules import check_jobs

POOLS = PodRules(node_pools=({"pool": "search"},))


def refused(rules: PodRules = PodRules(), **job) -> dict[str, str]:  # noqa: B008
    checks = [{"name": "errors", "outcome": "5xx", "max": "1%"}, {"name": "load", "job": {"image": "load:1", **job}}]
    policy = RolloutPolicy.model_validate({"checks": checks})
    return {
        one.problem.field.removeprefix("spec.rollout.checks[1].job."): one.problem.message
        for one in check_jobs(policy, rules)
    }


def test_a_plain_job_is_taken():
    env = [{"name": "RATE", "value": "5"}]
    assert not refused(command=["load"], args=["--rate=5"], env=env, resources={"limits": {"cpu": "1"}})
    assert not refused(PodRules(service_accounts=("loader",)), serviceAccountName="loader")


@pytest.mark.parametrize(
    ("job", "field", "said"),
    [
        ({"serviceAccountName": "tidegate"}, "serviceAccountName", "not allowed for this tenant"),
        ({"resources": {"limits": {"cpu": "much"}}}, "resources.limits.cpu", "quantity"),
        ({"env": [{"name": "A B=", "value": "1"}]}, "env[0].name", ""),
        ({"env": [{"name": "A", "value": 1}]}, "env[0].value", ""),
        ({"resources": {"limit": {}}}, "resources.limit", ""),
    ],
)
def test_what_no_pod_may_have_is_refused_at_its_field(job, field, said):
    found = refused(**job)
    assert field in found and said in found[field], found


def test_a_job_runs_on_the_nodes_of_its_tenant_and_nowhere_where_there_are_none():
    assert not refused(POOLS)
    assert "no node pool" in refused(PodRules(node_pools=()))["nodeSelector"]
