"""What a manager finds of its own cluster: how often it looks, by which rights, and what it says where it may not."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.doctor.checks import DOCUMENT_KINDS, ISTIO_KINDS, TELEMETRIES, Finding
from k8s_manager.doctor.manager_report import AS_ADMIN, FRESH, ManagerReports
from k8s_manager.doctor.rbac import OWN_RIGHTS, RIGHTS
from k8s_manager.kube.errors import Absent, Forbidden, Unavailable
from k8s_manager.kube.resources import RESOURCES, Resource
from k8s_manager.kube.store import Store
from k8s_manager.reconcile import KINDS
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.world.installation import SYSTEM
from tests.support.documents import NAMESPACE, gateway, tenant

LEASE = ObjectKey("Lease", SYSTEM, "tidegate")
KINDS_THERE = (*DOCUMENT_KINDS, *ISTIO_KINDS, TELEMETRIES)


class HandClock(SystemClock):
    """A clock that the test moves."""

    seconds = 100.0

    def now(self) -> float:
        return self.seconds


class ClusterStub:
    """A cluster with everything, as `KubeClient` shows it; it notes the rights that calls need, and may lack some."""

    def __init__(self, version: str = "v1.34.4", lacks: dict[str, Exception] | None = None, denied: str = "") -> None:
        self.version, self.lacks, self.denied = version, lacks or {}, denied
        self.asked = Counter[tuple[str, str, str]]()
        self.reviewed, self.looks = 0, 0

    def _need(self, verb: str, resource: Resource) -> None:
        group = resource.group_version.rpartition("/")[0]
        self.asked[group, resource.plural, verb] += 1
        if error := self.lacks.get(f"{verb} {resource.plural}"):
            raise error

    async def ask(self, path: str) -> Manifest:
        if error := self.lacks.get(path):
            raise error
        if path == "/version":
            self.looks += 1
            await asyncio.sleep(0)
            return {"gitVersion": self.version}
        group = path.split("/")[2]
        return {"resources": [{"name": kind.partition(".")[0]} for kind in KINDS_THERE if kind.endswith(f".{group}")]}

    async def list(self, resource: Resource, selector: str = "", namespace: str = "") -> tuple[list[Manifest], str]:
        self._need("list", resource)
        container = {"image": "docker.io/istio/pilot:1.31.0"}
        istiod = {"template": {"spec": {"containers": [container]}}}
        home = {"namespace": "istio-system", "name": "istiod"}
        mesh = {"mesh": "extensionProviders: [{name: otel}]"}
        found: dict[str, Manifest] = {
            "Deployment": {"metadata": home, "spec": istiod, "status": {"readyReplicas": 1}},
            "ConfigMap": {"metadata": {**home, "name": "istio"}, "data": mesh},
        }
        return [found[resource.kind]], "1"

    async def get(self, key: ObjectKey) -> Manifest:
        self._need("get", RESOURCES[key.kind])
        if key.kind == "APIService":
            raise Absent("404")
        found: dict[str, Manifest] = {
            "Lease": {"spec": {"renewTime": SystemClock().utc().isoformat(), "holderIdentity": "tidegate-1"}},
            "Deployment": {"spec": {"replicas": 2}, "status": {"readyReplicas": 2}},
        }
        return found[key.kind]

    async def apply(self, obj: Manifest, force: bool, manager: str, dry_run: bool) -> Manifest:
        assert dry_run and not force
        self._need("patch", RESOURCES[obj["kind"]])
        return obj

    async def create(self, obj: Manifest) -> Manifest:
        assert obj["kind"] == "SelfSubjectAccessReview"
        self.reviewed += 1
        if error := self.lacks.get("create selfsubjectaccessreviews"):
            raise error
        asked = obj["spec"]["resourceAttributes"]
        return {"status": {"allowed": asked["resource"] != self.denied}}


def store(*objects: Manifest) -> Store:
    made = Store(KINDS, SystemClock())
    for number, obj in enumerate(objects, 1):
        metadata = {**obj["metadata"], "uid": f"u{number}", "resourceVersion": str(number)}
        made.put({**obj, "metadata": metadata})
    return made


def pod(name: str, ready: bool = True, **labels: str) -> Manifest:
    condition = {"type": "Ready", "status": str(ready)}
    metadata = {"name": name, "namespace": "inference-gw", "labels": labels}
    spec = {"containers": [{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.31.0"}]}
    status = {"phase": "Running", "conditions": [condition]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


WELL = (NAMESPACE, gateway(tracing={"provider": "otel"}), tenant(), pod("gw-0", istio="shared"), pod("other"))


def reports(client: ClusterStub, *objects: Manifest, lease: ObjectKey | None = LEASE, clock: Any = None) -> Any:
    given: Any = client
    return ManagerReports(given, store(*(objects or WELL)), clock or HandClock(), lease, "tidegate-0")


async def found_by(client: ClusterStub, *objects: Manifest, **more: Any) -> list[Finding]:
    return [*(await reports(client, *objects, **more).latest()).findings]


async def test_a_cluster_with_everything_is_well_by_the_managers_own_eyes():
    found = await found_by(ClusterStub())
    assert {one.level for one in found} == {"ok"}, found
    assert "gateway shared: 1 of 1 pods are ready" in {one.what for one in found}
    assert {one.check for one in found} >= {"Kubernetes", "Istio", "Validation", "Rights", "Managers", "Tracing"}


async def test_a_look_uses_rights_that_the_manager_has():
    client = ClusterStub()
    await found_by(client)
    granted = {
        (right.group, resource, verb)
        for right in (*RIGHTS, *OWN_RIGHTS)
        for resource in right.resources
        for verb in right.verbs
    }
    assert client.asked.keys() <= granted and client.reviewed > 50


async def test_callers_together_cost_one_look_until_that_is_old():
    client, clock = ClusterStub(), HandClock()
    asked = reports(client, clock=clock)
    looks = await asyncio.gather(*(asked.latest() for _ in range(20)))
    assert client.looks == 1 and all(look is looks[0] for look in looks)
    clock.seconds += FRESH - 1
    assert await asked.latest() is looks[0]
    clock.seconds += 1
    assert await asked.latest() is not looks[0] and client.looks == 2


@pytest.mark.parametrize(
    ("lacked", "area"),
    [
        ("list deployments", "Istio"),
        ("patch envoyfilters", "Validation"),
        ("get deployments", "Managers"),
        ("get leases", "Managers"),
    ],
)
async def test_what_the_manager_may_not_look_at_is_said_and_the_rest_is_looked_at(lacked: str, area: str):
    found = await found_by(ClusterStub(lacks={lacked: Forbidden(f"{lacked}: no")}))
    (gap,) = [one for one in found if one.level == "unknown"]
    assert (gap.check, gap.remedy) == (area, AS_ADMIN) and f"the manager has no right: {lacked}" in gap.what
    assert [one for one in found if one.level == "failure"] == []
    assert {one.check for one in found if one.level == "ok"} >= {"Kubernetes", "Kinds", "Gateways", "Hosts and paths"}


async def test_a_right_that_is_missing_is_named():
    found = await found_by(ClusterStub(denied="tokenreviews"))
    (failure,) = [one for one in found if one.level == "failure"]
    assert failure.check == "Rights" and "may not create tokenreviews.authentication.k8s.io" in failure.what


async def test_rights_that_may_not_be_reviewed_are_no_failure():
    found = await found_by(ClusterStub(lacks={"create selfsubjectaccessreviews": Forbidden("no")}))
    assert [(one.check, one.level) for one in found if one.level != "ok"] == [("Rights", "warning")]


async def test_an_api_server_that_does_not_answer_is_the_finding_and_the_store_is_looked_at():
    client = ClusterStub(lacks={"/version": Unavailable("get /version: refused")})
    found = await found_by(client)
    assert [one.what for one in found if one.level == "failure"] == ["the API server does not answer"]
    assert client.asked == {} and client.reviewed == 0
    assert {one.check for one in found if one.level == "ok"} == {"Gateways", "Hosts and paths"}


async def test_an_area_that_cannot_be_read_now_is_left_out():
    found = await found_by(ClusterStub(lacks={"/apis/tidegate.dev/v1alpha1": Unavailable("asleep")}))
    assert [(one.check, one.level) for one in found if one.level != "ok"] == [("Kinds", "unknown")]


async def test_kinds_that_are_not_served_are_named():
    absent: dict[str, Exception] = {f"/apis/networking.istio.io/{v}": Absent("404") for v in ("v1", "v1alpha3")}
    found = await found_by(ClusterStub(lacks=absent))
    (failure,) = [one for one in found if one.level == "failure"]
    assert failure.check == "Kinds" and "virtualservices.networking.istio.io" in failure.what


async def test_a_standalone_is_asked_for_nothing_that_it_has_not():
    client = ClusterStub("v1.34.0-embedded")
    found = await found_by(client, lease=None)
    unseen = {one.check for one in found if one.level == "unknown"}
    assert unseen == {"Istio", "Validation", "Rights", "Tracing", "Autoscaling"}
    assert {one.level for one in found} == {"ok", "unknown"} and client.reviewed == 0
    assert "tidegate-0 is the leader" in {one.what for one in found}


async def test_a_gateway_that_is_odd_spoils_no_look():
    odd = gateway("odd")
    del odd["spec"]["selector"]
    assert {one.level for one in await found_by(ClusterStub(), *WELL, odd)} == {"ok"}


async def test_gateways_are_looked_at_in_what_the_watches_delivered():
    for objects, what in (
        ((gateway(), tenant()), "namespace inference-gw does not exist"),
        ((NAMESPACE, gateway(), pod("other", istio="none")), "has no pod with istio=shared"),
        ((NAMESPACE, gateway(), pod("gw-0", ready=False, istio="shared")), "0 of 1 pods are ready"),
    ):
        found = await found_by(ClusterStub(), *objects)
        (failure,) = [one for one in found if one.level == "failure"]
        assert failure.check == "Gateways" and what in failure.what
