"""`tidegate doctor`: look at a cluster, say what is missing and what to run."""

import asyncio
import contextlib
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from collectors.replicas import pod_seen
from istio_templates import names
from istio_templates.documents.gateway import TRACING_PROVIDER
from istio_templates.errors import Stalled, TidegateError
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.admission.prior_conflicts import conflicts
from k8s_manager.cli.output import FORMS, Format, console, plain_form_of
from k8s_manager.cli.output import show as show_as
from k8s_manager.doctor.checks import ClusterFacts, Finding, GatewayFacts, findings
from k8s_manager.doctor.rbac import ACCOUNT, OWN_RIGHTS, RIGHTS, RbacRule
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.errors import Absent, Forbidden
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.world.installation import SYSTEM

_DOCUMENTS, _ROUTES = ("Tenant", "Model"), ("Gateway", "VirtualService")
EMBEDDED = "-embedded"  # what the version of a standalone's API ends with
FORGOTTEN = 60.0  # seconds after which a silent leader counts as gone, even if the clocks differ by so much
MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failure": "[red]failure[/]"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="The cluster; absent: the pod's own account.")
    ] = None,
    output: Annotated[
        Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")
    ] = Format.TABLE,
) -> None:
    """Look at a cluster and say what is missing and what to run: kinds, Istio, rights, managers, gateways.

    Changes nothing. Exit codes: 0 nothing fails, 2 something does, 3 the cluster does not answer, or is a standalone.
    """
    if sys.stderr.isatty():
        typer.echo("looking at the cluster: kinds, rights, Istio, managers, gateways ...", err=True)
    try:
        found = findings(asyncio.run(look(kubeconfig)))
    except TidegateError as error:
        typer.echo(f"tidegate: {error}", err=True)
        raise typer.Exit(3) from None
    show(found, output)
    raise typer.Exit(2 if any(finding.level == "failure" for finding in found) else 0)


def show(found: list[Finding], output: Format) -> None:
    """Print the findings."""
    if output is not Format.TABLE:
        show_as([asdict(finding) for finding in found], output)
        return
    table = Table("", "WHAT", "WHAT TO DO", box=None, pad_edge=False)
    for finding in found:
        table.add_row(MARKS[finding.level], finding.what, finding.remedy)
    console().print(table)


async def look(kubeconfig: Path | None) -> ClusterFacts:
    """Return the facts of the cluster; raises `Stalled` where it does not answer."""
    async with await connect(kubeconfig) as client:
        version = await _version(client, kubeconfig)
        if version.endswith(EMBEDDED):
            said = (
                f"doctor is for clusters, and {kubeconfig} leads to a standalone, which has no Istio and no rights to"
            )
            raise Stalled(f"{said} look at; read {(kubeconfig or Path()).parent / 'logs'}, or run tidegate get gateway")
        crds = await _crds(client)
        return ClusterFacts(
            kubernetes=version,
            kinds=frozenset(crd["metadata"]["name"] for crd in crds),
            denied=await _denied(client, asks_for_itself=kubeconfig is None),
            istiod=await _istiod(client),
            webhook=await _webhook(client),
            managers=await _managers(client),
            leader=await _leader(client),
            gateways=await _gateways(client),
            providers=await _providers(client),
            conflicts=tuple(conflicts(await _all(client, *_DOCUMENTS), await _all(client, *_ROUTES))),
        )


async def _all(client: KubeClient, *kinds: str) -> list[Manifest]:
    """Return all objects of some kinds; of a kind that is not there there are none."""
    found: list[Manifest] = []
    for kind in kinds:
        with contextlib.suppress(Absent):
            found += (await client.list(RESOURCES[kind]))[0]
    return found


async def _crds(client: KubeClient) -> list[Manifest]:
    try:
        return (await client.list(RESOURCES["CustomResourceDefinition"]))[0]
    except Forbidden as error:
        raise Stalled(f"{error}; doctor looks as an administrator: give it such a --kubeconfig") from error


async def _version(client: KubeClient, kubeconfig: Path | None) -> str:
    try:
        return str((await client.ask("/version"))["gitVersion"])
    except Forbidden as error:
        raise Stalled(f"the cluster does not know who we are: {error}") from error
    except TidegateError as error:
        where = f"the cluster of {kubeconfig}" if kubeconfig else "the pod's cluster"
        raise Stalled(f"{where} does not answer ({error}); is its address right, and is the API server up?") from error


async def _denied(client: KubeClient, asks_for_itself: bool) -> tuple[tuple[str, str, str], ...] | None:
    places = asyncio.Semaphore(16)

    async def ask(right: RbacRule, question: Manifest) -> tuple[str, str, str] | None:
        async with places:
            allowed = await _allowed(client, question, asks_for_itself)
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


async def _allowed(client: KubeClient, question: Manifest, asks_for_itself: bool) -> bool:
    kind = "SelfSubjectAccessReview" if asks_for_itself else "SubjectAccessReview"
    spec: dict[str, Any] = {"resourceAttributes": question}
    if not asks_for_itself:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"]
        spec |= {"user": f"system:serviceaccount:{SYSTEM}:{ACCOUNT}", "groups": groups}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec}
    return bool((await client.create(review))["status"].get("allowed"))


async def _istiod(client: KubeClient) -> tuple[tuple[str, str, int], ...]:
    found, _ = await client.list(RESOURCES["Deployment"], "app=istiod")
    return tuple(
        (
            obj["metadata"]["namespace"],
            _version_of(obj),
            obj.get("status", {}).get("readyReplicas", 0),
        )
        for obj in found
    )


async def _providers(client: KubeClient) -> frozenset[str] | None:
    """Return the extension providers of the mesh's configuration, of every revision of istiod; None where none can be
    read."""
    found: set[str] | None = None
    for namespace in sorted({namespace for namespace, _, _ in await _istiod(client)}):
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


async def _webhook(client: KubeClient) -> str | None:
    obj = names.manifest("networking.istio.io/v1alpha3", "EnvoyFilter", "tidegate-doctor", "default", {})
    patch = {"operation": "ADD", "value": {"name": "tidegate-doctor"}}
    spec = {"configPatches": [{"applyTo": "EXTENSION_CONFIG", "match": {"context": "GATEWAY"}, "patch": patch}]}
    try:
        await client.apply({**obj, "spec": spec}, force=False, manager="tidegate-doctor", dry_run=True)
    except Absent:
        return "there is no such kind"
    except TidegateError as error:
        return str(error)
    return None


async def _managers(client: KubeClient) -> tuple[int, int] | None:
    found = await read_live(client, ObjectKey("Deployment", SYSTEM, "tidegate"))
    if found is None:
        return None
    return found.get("status", {}).get("readyReplicas", 0), found["spec"].get("replicas", 1)


async def _leader(client: KubeClient) -> str:
    try:
        spec = (await client.get(ObjectKey("Lease", SYSTEM, "tidegate")))["spec"]
    except Absent:
        return ""
    silent = datetime.now(UTC) - datetime.fromisoformat(spec.get("renewTime") or "1970-01-01T00:00:00Z")
    return str(spec.get("holderIdentity") or "") if silent.total_seconds() < FORGOTTEN else ""


async def _gateways(client: KubeClient) -> tuple[GatewayFacts, ...]:
    try:
        found, _ = await client.list(RESOURCES["InferenceGateway"])
    except Absent:
        return ()
    return tuple([await _gateway(client, obj) for obj in found])


async def _gateway(client: KubeClient, obj: Manifest) -> GatewayFacts:
    spec = obj["spec"]
    tracing = str(spec["tracing"].get("provider", TRACING_PROVIDER)) if spec.get("tracing") else ""
    selector = ",".join(f"{name}={value}" for name, value in spec["selector"].items())
    try:
        await client.get(ObjectKey("Namespace", "", spec["namespace"]))
    except Absent:
        return GatewayFacts(obj["metadata"]["name"], spec["namespace"], selector, False, (), tracing)
    pods, _ = await client.list(RESOURCES["Pod"], selector, spec["namespace"])
    found = tuple((pod.name, pod.proxy, pod.ready) for pod in map(pod_seen, pods) if not pod.ended)
    return GatewayFacts(obj["metadata"]["name"], spec["namespace"], selector, True, found, tracing)


def _version_of(istiod: Manifest) -> str:
    image = str(istiod["spec"]["template"]["spec"]["containers"][0]["image"])
    return image.rpartition("/")[2].partition(":")[2] or "of an unknown version"
