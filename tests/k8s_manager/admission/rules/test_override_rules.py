from istio_templates.documents import load, parse
from k8s_manager.admission.rules.override_rules import override_name
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.plan import plan_once
from tests.support.documents import API, gateway, model, tenant


def own(namespace: str, **target):
    spec = {"author": "eve", "reason": "because", "expires": "2999-01-01T00:00:00Z", "target": target, "total": 1}
    return {
        "apiVersion": API,
        "kind": "LimitOverride",
        "metadata": {"name": "own", "namespace": namespace},
        "spec": spec,
    }


def plan(*documents):
    return plan_once(world_of([parse(document) for document in documents]), {})


def overridden(found):
    return {limited.terms.namespace for limited in found.limits.values() if limited.overrides}


def test_a_tenants_own_override_reaches_its_own_models_only():
    own_range = {"range": {"lowest": 1, "highest": 50}}
    found = plan(
        gateway(),
        tenant("a", rateLimit=own_range),
        tenant("b"),
        model(namespace="a"),
        model(namespace="b"),
        own("a", model="ranker"),
    )
    assert overridden(found) == {"a"}


def test_it_reaches_nobody_while_its_tenant_is_not_served():
    waiting = tenant("a", gateway={"dedicated": {"replicas": 1}}, rateLimit={"range": {"lowest": 1, "highest": 50}})
    found = plan(gateway(), waiting, tenant("b"), model(namespace="a"), model(namespace="b"), own("a", model="ranker"))
    assert "a" not in found.tenants
    assert overridden(found) == set()


def test_every_target_has_a_name_of_its_own():
    targets = [
        {"tenant": "search"},
        {"gateway": "search"},
        {"tenant": "a-b", "model": "c"},
        {"tenant": "a", "model": "b-c"},
        {"everything": True},
        {"tenant": "everything"},
        {"labels": {"tier": "gold"}},
        {"tenant": "x" * 63, "model": "y" * 63},
        {"tenant": "x" * 63, "model": "z" * 63},
    ]
    names = [override_name(target) for target in targets]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for name in names)
    assert override_name({"tenant": "search"}) == names[0]


def test_a_moment_is_read_from_yaml_as_it_was_written():
    text = "expires: 2026-11-21T03:00:00Z\n"
    assert load(text) == [{"expires": "2026-11-21T03:00:00Z"}]
