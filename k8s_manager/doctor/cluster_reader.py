"""What `doctor` reads of a cluster through its API server, one function for each area of `checks`."""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import yaml

from collectors.replicas import pod_seen
from istio_templates import names
from istio_templates.documents.gateway import TRACING_PROVIDER
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.autoscaling.api_service import API_SERVICE, ApiServiceState, api_service_state
from k8s_manager.doctor.checks import GatewayFacts
from k8s_manager.doctor.rbac import ACCOUNT, OWN_RIGHTS, RIGHTS, RbacRule
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, Forbidden
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.runtime.settings import SERVICE
from k8s_manager.world.installation import SYSTEM

EMBEDDED = "-embedded"
"""What the version of a standalone's API ends with."""
FORGOTTEN = 60.0
"""Seconds after which a silent leader counts as gone, even if the clocks differ by so much."""
_AT_ONCE = 16
"""Access reviews in flight."""
_GROUPS = (
    "tidegate.dev/v1alpha1", "networking.istio.io/v1", "networking.istio.io/v1alpha3", "telemetry.istio.io/v1",
    "keda.sh/v1alpha1",
)  # fmt: skip


async def version_of(client: KubeClient) -> str:
    """Return the version of Kubernetes."""
    return str((await client.ask("/version"))["gitVersion"])


async def served_kinds(client: KubeClient) -> frozenset[str]:
    """Return the kinds of Tidegate, Istio and KEDA that the API server serves, as PLURAL.GROUP: what every account may
    ask, unlike the list of CustomResourceDefinitions."""
    found = set()
    for version in _GROUPS:
        with contextlib.suppress(Absent):
            listed = (await client.ask(f"/apis/{version}")).get("resources") or ()
            found |= {f"{one['name']}.{version.partition('/')[0]}" for one in listed if "/" not in one["name"]}
    return frozenset(found)


async def denied_rights(client: KubeClient, asks_for_itself: bool) -> tuple[tuple[str, str, str], ...] | None:
    """Return which of its rights the manager's account lacks, as (verb, resource, purpose); None where the client may
    not ask that."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(right: RbacRule, question: Manifest) -> tuple[str, str, str] | None:
        async with places:
            allowed = await _is_allowed(client, question, asks_for_itself)
        subresource = f"/{question['subresource']}" if question["subresource"] else ""
        group = f".{question['group']}" if question["group"] else ""
        resource = f"{question['resource']}{group}{subresource}"
        return None if allowed else (question["verb"], resource, right.for_)

    asked = [(right, question) for right in RIGHTS for question in right.questions()]
    asked += [(right, {**question, "namespace": SYSTEM}) for right in OWN_RIGHTS for question in right.questions()]
    try:
        answers = await asyncio.gather(*(ask(*one) for one in asked))
    except Forbidden:
        return None
    return tuple(answer for answer in answers if answer)


async def _is_allowed(client: KubeClient, question: Manifest, asks_for_itself: bool) -> bool:
    kind = "SelfSubjectAccessReview" if asks_for_itself else "SubjectAccessReview"
    spec: dict[str, Any] = {"resourceAttributes": question}
    if not asks_for_itself:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"]
        spec |= {"user": f"system:serviceaccount:{SYSTEM}:{ACCOUNT}", "groups": groups}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec}
    return bool((await client.create(review))["status"].get("allowed"))


async def istiods(client: KubeClient) -> tuple[tuple[str, str, int], ...]:
    """Return each istiod as (namespace, version, ready pods)."""
    found, _ = await client.list(RESOURCES["Deployment"], "app=istiod")
    return tuple(
        (obj["metadata"]["namespace"], _istiod_version(obj), obj.get("status", {}).get("readyReplicas", 0))
        for obj in found
    )


def _istiod_version(istiod: Manifest) -> str:
    image = str(istiod["spec"]["template"]["spec"]["containers"][0]["image"])
    return image.rpartition("/")[2].partition(":")[2] or "of an unknown version"


async def mesh_providers(client: KubeClient, namespaces: Iterable[str]) -> frozenset[str] | None:
    """Return the extension providers of the mesh's configuration, of every revision of istiod in these namespaces; None
    where none can be read."""
    found: set[str] | None = None
    for namespace in sorted(set(namespaces)):
        with contextlib.suppress(Forbidden):
            objects, _ = await client.list(RESOURCES["ConfigMap"], namespace=namespace)
            for obj in objects:
                name, text = obj["metadata"]["name"], (obj.get("data") or {}).get("mesh")
                if text and (name == "istio" or name.startswith("istio-")):
                    found = (found or set()) | providers_in(text)
    return None if found is None else frozenset(found)


def providers_in(mesh: str) -> set[str]:
    """Return the names of the extension providers in a mesh's configuration (YAML); none where it cannot be read."""
    with contextlib.suppress(yaml.YAMLError):
        config = yaml.safe_load(mesh)
        listed = config.get("extensionProviders") if isinstance(config, dict) else None
        return {str(one["name"]) for one in listed or () if isinstance(one, dict) and "name" in one}
    return set()


async def webhook_problem(client: KubeClient) -> str | None:
    """Return why Istio's validation does not accept an EnvoyFilter, by a dry run; None where it does.

    Raises `Forbidden` where the client may not write one.
    """
    obj = names.manifest("networking.istio.io/v1alpha3", "EnvoyFilter", "tidegate-doctor", "default", {})
    patch = {"operation": "ADD", "value": {"name": "tidegate-doctor"}}
    spec = {"configPatches": [{"applyTo": "EXTENSION_CONFIG", "match": {"context": "GATEWAY"}, "patch": patch}]}
    try:
        await client.apply({**obj, "spec": spec}, force=False, manager="tidegate-doctor", dry_run=True)
    except Absent:
        return "there is no such kind"
    except Forbidden:
        raise
    except TidegateError as error:
        return str(error)
    return None


async def external_metrics(client: KubeClient) -> ApiServiceState:
    """Return who serves the external metrics of the cluster."""
    return api_service_state(await read_live(client, API_SERVICE), SERVICE)


def writers_in(models: Iterable[Manifest]) -> frozenset[str]:
    """Return the writers of replicas that models ask for."""
    versions = [version for model in models for version in (model.get("spec") or {}).get("versions") or ()]
    scaled = [version["autoscale"] for version in versions if isinstance(version.get("autoscale"), dict)]
    return frozenset(str(one.get("writer", "tidegate")) for one in scaled)


async def ready_managers(client: KubeClient) -> tuple[int, int] | None:
    """Return how many managers are ready, and how many there should be; None where their Deployment is not there."""
    found = await read_live(client, ObjectKey("Deployment", SYSTEM, "tidegate"))
    if found is None:
        return None
    return found.get("status", {}).get("readyReplicas", 0), found["spec"].get("replicas", 1)


async def leader(client: KubeClient, lease: ObjectKey, now: datetime) -> str:
    """Return who holds the Lease of the managers; empty where its holder is silent, or there is none."""
    try:
        spec = (await client.get(lease))["spec"]
    except Absent:
        return ""
    silent = now - datetime.fromisoformat(spec.get("renewTime") or "1970-01-01T00:00:00Z")
    return str(spec.get("holderIdentity") or "") if silent.total_seconds() < FORGOTTEN else ""


def selector_text(gateway: Manifest) -> str:
    """Return the selector of a gateway's pods, as Kubernetes takes it."""
    return ",".join(f"{name}={value}" for name, value in gateway["spec"]["selector"].items())


def gateway_facts(gateway: Manifest, pods: Iterable[Manifest] | None) -> GatewayFacts:
    """Return the facts of an InferenceGateway and its pods; None for these where its namespace does not exist."""
    spec = gateway["spec"]
    tracing = str(spec["tracing"].get("provider", TRACING_PROVIDER)) if spec.get("tracing") else ""
    found = tuple((pod.name, pod.proxy, pod.ready) for pod in map(pod_seen, pods or ()) if not pod.ended)
    name = gateway["metadata"]["name"]
    return GatewayFacts(name, spec["namespace"], selector_text(gateway), pods is not None, found, tracing)
