"""The standalone translator makes of every golden case what istiod makes of it: both end up in a real Envoy."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from e2e.support.envoy import config_dump
from e2e.support.golden import namespaces
from e2e.support.parity import behaviour, differences
from e2e.support.site import bounded, kubeconfig, kubectl
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.resources import RESOURCES, Resource
from k8s_manager.standalone.node.gateway import ADMIN_PORT
from k8s_manager.standalone.translator.config import Config, GatewayPod
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.golden.case import CASES, rendered
from tests.support.bounds import hung
from tests.support.envoy import EnvoyUnderTest, certificate, running_envoy

APPLIED = ("Service", "Gateway", "DestinationRule", "VirtualService", "EnvoyFilter")
POOLS = {"inference-gw": "inference-gw", "search-gateway": "search-gateway"}
TENANTS = sorted(set(namespaces()) - POOLS.keys())
SLICES = Resource("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")


def gateway_of(namespace: str, name: str) -> str:
    """Return a bare gateway of one pod, as somebody without Tidegate would run it."""
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "gw", "namespace": namespace}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tidegate-gateway"}
    subjects = [{"kind": "ServiceAccount", "name": "gw", "namespace": namespace}]
    bound = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "roleRef": role, "subjects": subjects}
    bound["metadata"] = {"name": "gw", "namespace": namespace}
    labels = {"istio": name, "sidecar.istio.io/inject": "true"}
    container = {"name": "istio-proxy", "image": "auto", "imagePullPolicy": "IfNotPresent"}
    pod = {
        "metadata": {"labels": labels, "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"serviceAccountName": "gw", "containers": [container]},
    }
    spec = {"selector": {"matchLabels": {"istio": name}}, "template": pod}
    metadata = {"name": "gw", "namespace": namespace}
    runs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [account, bound, runs]})


@pytest.fixture(scope="module")
def proxies(golden_namespaces: None, without_manager: None) -> dict[str, str]:
    """Return the name of a gateway pod for each pool of the cases, fed by istiod."""
    for namespace, name in POOLS.items():
        kubectl("apply", "--server-side", "-f", "-", stdin=gateway_of(namespace, name))
    for namespace in POOLS:
        kubectl("-n", namespace, "rollout", "status", "deployment/gw", bounded())
    path = "jsonpath={.items[0].metadata.name}"
    return {n: kubectl("-n", n, "get", "pods", "-l", f"istio={POOLS[n]}", "-o", path) for n in POOLS}


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    async with await connect(kubeconfig()) as found:
        yield found


async def make(client: KubeClient, case: str) -> list[ObjectKey]:
    """Write a case's routing objects, the certificates that they name and a ready pod for every subset."""
    objects = [obj for obj in rendered(case) if obj["kind"] in APPLIED]
    gateways = [obj for obj in objects if obj["kind"] == "Gateway"]
    tls = {
        (g["metadata"]["namespace"], s["tls"]["credentialName"])
        for g in gateways
        for s in g["spec"]["servers"]
        if "credentialName" in s.get("tls", {})
    }
    secrets = [{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", **certificate(*c)} for c in tls]
    for obj in [*secrets, *objects]:
        await client.apply(obj, force=True, manager="golden")
    pods = await asyncio.gather(*(stand_in(client, *wanted) for wanted in enumerate(subsets(objects))))
    return [*(key_of(obj) for obj in [*objects, *secrets]), *pods]


def subsets(objects: list[Manifest]) -> list[tuple[str, dict[str, str]]]:
    """Return namespace and labels of a pod for every subset of every DestinationRule."""
    services = {f"{o['metadata']['name']}.{o['metadata']['namespace']}": o for o in objects if o["kind"] == "Service"}
    found = []
    for rule in [o for o in objects if o["kind"] == "DestinationRule"]:
        service = services[rule["spec"]["host"].removesuffix(".svc.cluster.local")]
        for subset in rule["spec"].get("subsets", []):
            found.append((rule["metadata"]["namespace"], {**service["spec"]["selector"], **subset["labels"]}))
    return found


async def stand_in(client: KubeClient, number: int, place: tuple[str, dict[str, str]]) -> ObjectKey:
    """Make a pod that is ready for whoever reads the API, on a node that there is not."""
    namespace, labels = place
    key = ObjectKey("Pod", namespace, f"stand-in-{number}")
    spec = {"nodeName": "nowhere", "containers": [{"name": "model", "image": "none"}]}
    address = f"10.244.255.{number + 1}"
    await client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": key.name, "namespace": namespace, "labels": labels},
            "spec": spec,
        }
    )
    ready = [{"type": name, "status": "True"} for name in ("Ready", "ContainersReady", "PodScheduled", "Initialized")]
    told = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
    await client.merge(key, {"status": told}, "status")
    return key


async def unmake(client: KubeClient, keys: list[ObjectKey]) -> None:
    for key in reversed(keys):
        if key.kind == "Pod":
            kubectl("-n", key.namespace, "delete", "pod", key.name, "--grace-period=0", "--force", "--ignore-not-found")
            continue
        try:
            await client.delete(key)
        except Absent:
            continue


async def config_of(client: KubeClient) -> Config:
    """Return what the translator reads, as the API server holds it now."""

    async def every(resource: Resource) -> list[Manifest]:
        lists = [(await client.list(resource, namespace=namespace))[0] for namespace in namespaces()]
        return [obj for found in lists for obj in found]

    kinds = ("Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "Service")
    found = [await every(RESOURCES[kind]) for kind in kinds]
    return Config(*found, await every(SLICES), await every(RESOURCES["Pod"]), await every(RESOURCES["Secret"]))


async def translated(envoy: EnvoyUnderTest, config: Config, namespace: str, labels: dict[str, str]) -> Any:
    """Return what a real Envoy runs when the translator feeds it."""
    await envoy.load(snapshot(config, GatewayPod(namespace, labels, envoy.address)))
    assert envoy.ads.rejections == []
    url = f"http://{envoy.address}:{ADMIN_PORT}/config_dump?include_eds"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return behaviour(json.loads(await answer.text()), TENANTS)


async def compare(client: KubeClient, case: str, proxies: dict[str, str], folder: Path) -> list[str]:
    """Return where the two differ when both have had time to settle."""
    (namespace,) = {o["metadata"]["namespace"] for o in rendered(case) if o["kind"] == "EnvoyFilter"} & POOLS.keys()
    labels = {"istio": POOLS[namespace]}
    loop = asyncio.get_running_loop()
    async with running_envoy(folder) as envoy:
        began = loop.time()
        while True:
            ours = await translated(envoy, await config_of(client), namespace, labels)
            theirs = behaviour(await asyncio.to_thread(config_dump, namespace, proxies[namespace]), TENANTS)
            found = differences(ours, theirs)
            if not found or loop.time() - began > hung():
                return found
            await asyncio.sleep(0.3)


@pytest.mark.parametrize("case", CASES)
async def test_istiod_and_the_translator_agree(case: str, client: KubeClient, proxies: dict[str, str], tmp_path: Path):
    made = await make(client, case)
    try:
        found = await compare(client, case, proxies, tmp_path)
    finally:
        await unmake(client, made)
    assert not found, "\n".join(found)
