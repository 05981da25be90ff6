"""The managers of the previous release are replaced by these: no object but the access logger is written, and every limit
holds under load."""

from collections.abc import Iterator

import pytest

from e2e.cluster.place import PROJECT
from e2e.support.install import apply
from e2e.support.load import Load
from e2e.support.site import SYSTEM, Site, bounded, host_of, kubectl, path_of
from istio_templates.facts import Manifest
from k8s_manager.kube.resources import DOCUMENTS, OWNED
from tests.support import previous_release
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
IMAGE, PREVIOUS = "tidegate:0.1.0", "tidegate:previous"
MANAGER = "manifests/manager.yaml"
LOGGER = "EnvoyFilter shared-gw/tidegate-shared-access-log"
LABEL = "app.kubernetes.io/managed-by=tidegate"


@pytest.fixture
def former_managers(installed: None) -> Iterator[None]:
    """Run the managers of the previous release until the scenario ends."""
    manifest = previous_release.text(MANAGER)
    assert IMAGE in manifest
    apply(manifest.replace(IMAGE, PREVIOUS))
    yield
    upgrade()


def upgrade() -> None:
    """Apply the manifests of this release."""
    apply((PROJECT / MANAGER).read_text())


async def objects(site: Site, tenant: str) -> dict[str, tuple[str, str, Manifest]]:
    """Return, for each document and object that the manager writes for a tenant or its gateway, its uid, its generation
    and what it says; statuses and what other controllers count are left out."""
    found = {}
    for kind in (*DOCUMENTS, *OWNED):
        for obj in await site.all(kind, "", "" if kind in DOCUMENTS else LABEL):
            metadata = obj["metadata"]
            if tenant in (metadata["name"], metadata.get("namespace")) or metadata.get("namespace") == "shared-gw":
                key = f"{kind} {metadata.get('namespace', '')}/{metadata['name']}"
                labels = {"labels": metadata.get("labels"), "annotations": metadata.get("annotations")}
                said = {**labels, "spec": obj.get("spec"), "data": obj.get("data")}
                found[key] = (metadata["uid"], str(metadata.get("generation", "")), said)
    return found


async def test_an_upgrade_writes_no_object_and_every_limit_holds(former_managers: None, site: Site, tenant: str):
    await site.make_gateway("shared")
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_enforced(40, tenant)
    await until(lambda: site.holds("Model", "ranker", "Ready", tenant), "the model being ready")
    # Pods of a gateway that a newer release has made are replaced by the previous one as soon as that leads.
    kubectl("-n", "shared-gw", "rollout", "status", "deployment/shared", bounded())
    gateways = await site.ready_pods("shared-gw", "istio=shared", 2)
    await site.until_enforced(40, tenant)
    before = await objects(site, tenant)
    assert any(key.startswith("VirtualService") for key in before)
    load = Load(host_of(tenant), path_of("ranker"), rate=80)
    async with load.on(*gateways):
        await load.measure(1)
        upgrade()
        await until(lambda: follows_this_release(site, tenant), "a limit set by this release")
        admitted = await load.limited_to(40, 8)
    assert not load.outcome.strange
    assert admitted, admitted
    after = await objects(site, tenant)
    assert after.keys() - before.keys() == {LOGGER}, "managed gateways log by default, which older releases do not know"
    assert {key: after[key] for key in before} == before


async def follows_this_release(site: Site, tenant: str) -> bool:
    """Tell whether the manager of this release leads and has read everything: it answers for the model."""
    lease = await site.get("Lease", "tidegate", SYSTEM)
    leader = str(((lease or {}).get("spec") or {}).get("holderIdentity") or "").rpartition("-")[0]
    pods = {pod["metadata"]["name"] for pod in await site.all("Pod", SYSTEM, "app.kubernetes.io/name=tidegate")}
    return leader in pods and await site.total(tenant) == 40
