"""What pods of ours say by default comes with a rollout, and never is the reason of one."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.drift.digest import stamped
from k8s_manager.drift.pod_defaults import pod_forms, with_pod_defaults
from k8s_manager.offline.offline_world import manifests
from tests.support.documents import gateway


def deployment(replicas: int = 2, image: str = "m:1", env: str = "", **spec) -> dict:
    container = {"name": "model", "image": image, "env": [{"name": "A", "value": env}] if env else []}
    template = {"metadata": {"labels": {"app": "m"}}, "spec": {"containers": [container], **spec}}
    metadata = {"name": "m", "namespace": "lab", "labels": {"app": "m"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": replicas, "template": template},
    }


def links(obj: dict):
    return obj["spec"]["template"]["spec"].get("enableServiceLinks")


def running(wanted: dict, **defaults) -> dict:
    """Return an object as an API server keeps it, completed with Kubernetes' own defaults."""
    live = copy.deepcopy(stamped(wanted))
    pod = live["spec"]["template"]["spec"]
    live["spec"]["template"]["spec"] = {"enableServiceLinks": True, "dnsPolicy": "ClusterFirst", **pod, **defaults}
    return live


def edited(live: dict, image: str) -> dict:
    live = copy.deepcopy(live)
    live["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return live


OLD = running(deployment())


def test_new_pods_have_no_service_links():
    assert links(with_pod_defaults(deployment(), None)) is False


@pytest.mark.parametrize("said", [True, False])
def test_what_the_template_says_stays(said):
    wanted = deployment(enableServiceLinks=said)
    assert with_pod_defaults(wanted, None) is wanted
    assert with_pod_defaults(wanted, OLD) is wanted


def test_what_runs_without_it_is_wanted_without_it():
    assert with_pod_defaults(deployment(), OLD) == deployment()


@pytest.mark.parametrize("wanted", [deployment(replicas=3), deployment(replicas=0)])
def test_a_change_that_replaces_no_pod_does_not_bring_it(wanted):
    assert with_pod_defaults(wanted, OLD) == wanted


@pytest.mark.parametrize(
    "wanted", [deployment(image="m:2"), deployment(env="x"), deployment(nodeSelector={"card": "a"})]
)
def test_a_change_that_replaces_the_pods_brings_it(wanted):
    assert links(with_pod_defaults(wanted, OLD)) is False


def test_it_stays_once_it_runs():
    live = running(with_pod_defaults(deployment(), None))
    for wanted in (deployment(), deployment(replicas=9), deployment(image="m:2")):
        assert links(with_pod_defaults(wanted, live)) is False


def test_it_is_wanted_on_where_another_writer_has_taken_it_away():
    live = running(with_pod_defaults(deployment(), None), enableServiceLinks=True)
    assert links(with_pod_defaults(deployment(), live)) is False


@pytest.mark.parametrize("policy", ["repair", "report", "adopt"])
def test_an_edit_of_another_writer_does_not_bring_it(policy):
    assert with_pod_defaults(deployment(), edited(OLD, "theirs:1"), policy) == deployment()


@pytest.mark.parametrize("policy, brings", [("repair", False), ("report", None), ("adopt", None)])
def test_without_a_digest_an_edit_that_is_kept_does_not_bring_it(policy, brings):
    live = edited(OLD, "theirs:1")
    live["metadata"]["annotations"] = {}
    assert links(with_pod_defaults(deployment(), live, policy)) is brings


def test_a_file_of_any_shape_is_read():
    for broken in ({"spec": []}, {"spec": {"template": "x"}}, {}):
        live = {"metadata": {"annotations": None}, "kind": "Deployment", **broken}
        assert links(with_pod_defaults(deployment(), live)) in (False, None)


@given(st.lists(st.sampled_from([("replicas", 3), ("replicas", 4), ("image", "m:2"), ("env", "x"), ("image", "m:1")])))
def test_every_write_that_brings_it_replaces_the_pods_anyway(changes):
    live, state = OLD, {}
    for name, value in changes:
        state[name] = value
        wanted = deployment(**state)
        whole = with_pod_defaults(wanted, live)
        before = {**live["spec"]["template"]["spec"], "enableServiceLinks": None}
        after = {"dnsPolicy": "ClusterFirst", **whole["spec"]["template"]["spec"], "enableServiceLinks": None}
        if links(whole) is False and links(live) is True:
            assert before != after
        live = running(whole)


def of_gateway(port: int = 8080, replicas: int = 2) -> dict:
    """Return the rendered Deployment of a managed gateway."""
    pods = gateway(managed={"replicas": replicas}, listeners=[{"name": "http", "port": port, "protocol": "HTTP"}])
    (found,) = (obj for obj in manifests([pods]) if obj["kind"] == "Deployment")
    del found["spec"]["template"]["spec"]["enableServiceLinks"]
    return found


@pytest.mark.parametrize("former", list(pod_forms(of_gateway())), ids=["all", "links", "counts", "none"])
def test_gateway_pods_of_any_release_run_on_until_their_template_changes(former):
    live = running(former)
    assert with_pod_defaults(of_gateway(), live) == former
    more = with_pod_defaults(of_gateway(replicas=3), live)
    assert more == {**former, "spec": {**former["spec"], "replicas": 3}}
    assert with_pod_defaults(of_gateway(port=8081), live) == next(pod_forms(of_gateway(port=8081)))


def written(by: str, at: str, **annotations) -> dict:
    held = {f"f:{name}": {} for name in annotations}
    fields = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": held}}}}
    return {"manager": by, "operation": "Update", "time": at, "fieldsV1": fields}


@pytest.mark.parametrize("ours, brings", [("2026-11-30T10:00:00Z", True), ("2026-11-30T12:00:00Z", False)])
def test_a_restart_by_hand_brings_all_once(ours, brings):
    former = list(pod_forms(of_gateway()))[-1]
    live = running(former)
    restart = written("kubectl-rollout", "2026-11-30T11:00:00Z", **{"kubectl.kubernetes.io/restartedAt": ""})
    live["metadata"]["managedFields"] = [written("tidegate", ours), restart]
    assert with_pod_defaults(of_gateway(), live) == (next(pod_forms(of_gateway())) if brings else former)


def test_counts_that_another_writer_has_taken_away_are_wanted():
    live = running(with_pod_defaults(of_gateway(), None))
    live["spec"]["template"]["metadata"]["annotations"].pop("proxy.istio.io/config")
    assert with_pod_defaults(of_gateway(), live) == next(pod_forms(of_gateway()))
