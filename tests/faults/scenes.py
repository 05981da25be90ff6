"""The workflows that are tried with faults. Whoever adds a capability adds its scene to `SCENES`."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.revision import ChangeAuthor
from k8s_manager.release.registry.registry_answer import RunMetric
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.settings import Git, MlflowSettings
from k8s_manager.world.change_records import CASCADE
from tests.faults.run import LONGEST_SECONDS, SETTINGS, Run, Scene, Script
from tests.faults.simulation import BEGIN
from tests.support.by_hand import ADOPTING, gateway_by_hand, namespace_by_hand, route_by_hand
from tests.support.certificates import secret
from tests.support.documents import API, HOST, gateway, model, tenant
from tests.support.registered_models import CREATED, registered
from tests.warmup.plans import plan

FREE = "free.models.example.com"
DRIFT_SECONDS = 620.0
"""For how long a condition says that others have changed an object, and a little more."""
FINISHED_SECONDS, ROLLED_BACK_SECONDS = 80.0, 80.0
"""After how long a leader has finished a recorded change of another manager, and has tried rejected limits again."""
READ_AGAIN_SECONDS = 40.0
"""After how long what MLflow says is seen that was missed once, and what follows from it is written."""
GIT = replace(SETTINGS, git=Git(Address("https://git.example.com/tree.git"), every=20.0, patience=10.0))
WITH_MLFLOW = replace(SETTINGS, mlflow=MlflowSettings("http://mlflow.example.com"))
BY_GIT: dict[str, Any] = {"settings": GIT}
VERSIONS = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]


def namespace(name: str) -> Manifest:
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def override(name: str = "launch", end: str = "2030-01-01T01:00:00Z", **change: Any) -> Manifest:
    """Return an override of every limit."""
    base = {"author": "anna", "reason": "a launch", "expires": end, "target": {"everything": True}}
    metadata = {"name": name, "namespace": "tidegate-system"}
    return {
        "apiVersion": API,
        "kind": "LimitOverride",
        "metadata": metadata,
        "spec": {**base, **(change or {"total": 70})},
    }


async def no_documents(run: Run) -> None:
    """Two namespaces with a gateway pod each."""
    for name in ("shared", "other"):
        place = "inference-gw" if name == "shared" else "other-gw"
        run.cluster.apply(namespace(place))
        run.cluster.pod(f"{name}-gw-a", place, {"istio": name})


async def with_gateways(run: Run) -> None:
    """Two gateways."""
    await no_documents(run)
    await run.apply(gateway(), gateway("other", "other-gw"))


async def with_model(run: Run) -> None:
    """A tenant with a model that is served."""
    await with_gateways(run)
    await run.apply(tenant(), model())
    await run.programmed()


async def with_two_tenants(run: Run) -> None:
    """Two tenants, one of them with a model."""
    await with_model(run)
    await run.apply(tenant("ads"))
    await run.until(lambda: run.cluster.get("Namespace", "ads"), "the second tenant's namespace")


async def create(run: Run) -> None:
    await run.apply(gateway(), tenant(), model())
    await run.programmed()


async def change_gateway(run: Run) -> None:
    listeners = [{"name": "http", "port": 8080, "protocol": "HTTP"}, {"name": "more", "port": 8081, "protocol": "HTTP"}]
    await run.apply(gateway(listeners=listeners))


async def change_tenant(run: Run) -> None:
    hosts = [{"name": "search.models.example.com"}, {"name": "more.models.example.com"}]
    await run.apply(tenant(hosts=hosts))


async def change_model(run: Run) -> None:
    await run.apply(model(routes=[{"host": "search.models.example.com", "path": "/v2/models/renamed", "port": 8080}]))
    await run.programmed()


async def move_tenant(run: Run) -> None:
    await run.apply(tenant(gateway={"name": "other"}))


async def delete_model(run: Run) -> None:
    run.cluster.delete("Model", "ranker", "search")
    await run.gone("Model", "ranker", "search")


async def delete_tenant(run: Run) -> None:
    run.cluster.delete("Tenant", "search")
    run.cluster.delete("Model", "ranker", "search")
    await run.gone("Tenant", "search")


async def delete_all(run: Run) -> None:
    run.cluster.delete("InferenceGateway", "shared")
    await delete_tenant(run)
    await run.gone("InferenceGateway", "shared")


async def cascade(run: Run) -> None:
    """An operator deletes a tenant with its models by the REST API, and again where nothing came of it."""

    key, write = ObjectKey("Tenant", "", "search"), WriteRequest(match="*", change=ChangeAuthor("anna"))

    def live() -> Manifest | None:
        return run.cluster.get("Tenant", "search")

    def has_begun() -> bool:
        metadata = (live() or {}).get("metadata") or {}
        return CASCADE in (metadata.get("annotations") or {}) or "deletionTimestamp" in metadata

    while live():
        await run.attempt(lambda manager: manager.backend.deletion.delete(key, True, write))
        if has_begun():
            await run.until(lambda: not live(), "the tenant being gone, as its deletion was recorded", 100)


async def change_limit(run: Run) -> None:
    await run.apply(model(rateLimit={"perReplicaQps": 70}))


async def scale(run: Run) -> None:
    more = [{"name": "v1", "workload": {"replicas": 5, "image": "example.com/ranker:1"}}]
    await run.apply(model(versions=more))


async def autoscale(run: Run) -> None:
    """Signals take over the replicas of a version, ask for six, and give them back to the document."""
    version = {"name": "v1", "workload": {"image": "example.com/ranker:1"}}
    await run.apply(model(versions=[{**version, "autoscale": {"min": 2, "max": 8}}]))

    def replicas() -> int:
        return (run.cluster.get("Deployment", "ranker-v1", "search") or {})["spec"].get("replicas", 1)

    await run.until(lambda: replicas() == 6, "six replicas", LONGEST_SECONDS)
    await run.settled(3)
    await run.apply(model(versions=[version]))


async def set_aside(run: Run) -> None:
    run.cluster.apply(namespace("tidegate-system"))
    await run.apply(override(end="2030-01-01T00:00:40Z"))
    await asyncio.sleep(40)


async def shadow(run: Run) -> None:
    await run.apply(model(rateLimit={"perReplicaQps": 20, "mode": "shadow"}))
    await asyncio.sleep(30)


async def ramp(run: Run) -> None:
    await run.apply(model(rateLimit={"perReplicaQps": 20, "mode": "ramp", "ramp": {"over": "20s"}}))
    await asyncio.sleep(30)


async def roll_back(run: Run) -> None:
    run.cluster.takes_no_pushes = True
    await change_limit(run)


async def hand_over(run: Run) -> None:
    await run.apply(model(versions=VERSIONS[1:], traffic=[{"version": "v2", "weight": 100}], drain="5s"))
    await run.until(lambda: run.cluster.get("Deployment", "ranker-v2", "search"), "the new version")
    await run.gone("Deployment", "ranker-v1", "search")


async def shift(run: Run) -> None:
    traffic = [{"version": "v1", "weight": 30}, {"version": "v2", "weight": 70}]
    await run.apply(model(versions=VERSIONS, traffic=traffic))


async def release(run: Run) -> None:
    """Requests come to another version step by step, at each of which a Job has to complete; the document has both
    until they are there."""
    steps, job = [{"weight": 25}, {"weight": 50}], {"image": "example.com/load:1"}
    checks = [{"name": "errors", "outcome": "5xx", "max": "5%"}, {"name": "load", "job": job}]
    rollout = {"steps": steps, "hold": "10s", "checks": checks}
    traffic = [{"version": "v2", "weight": 100}]

    def is_done() -> bool:
        found = (run.cluster.get("Model", "ranker", "search") or {}).get("status", {}).get("rollout") or {}
        return (found.get("phase"), found.get("stable")) == ("Done", "v2")

    await run.apply(model(versions=VERSIONS, traffic=traffic, rollout=rollout, drain="5s"))
    await run.until(is_done, "the end of the release", LONGEST_SECONDS)


async def with_registered_model(run: Run) -> None:
    """A model whose versions are those of a registered model in MLflow, the one with an alias served."""
    run.registry.versions["fleet-ranker"] = [registered(1), registered(2)]
    run.registry.aliases["fleet-ranker"] = {"champion": 1}
    run.registry.runs["run-2"] = (RunMetric("holdout/auc", 0.91, CREATED),)
    await with_model(run)


async def register(run: Run) -> None:
    """A model takes its versions from MLflow; there its alias moves, which releases the other version, and a third one
    is registered that says later which image it has."""
    template = {"like": "v1", "image": "example.com/ranker:{version}", "images": ["example.com/ranker:*"]}
    by_alias = {"strategy": "manual", "alias": "champion", "coolDown": "0s", "registry": {"name": "fleet-ranker"}}
    rollout = {"steps": [{"weight": 50}], "hold": "10s"}
    selection = {**by_alias, "versionTemplate": template}

    def version(name: str) -> Manifest:
        return (run.cluster.get("ModelVersion", f"ranker-{name}", "search") or {}).get("spec") or {}

    def is_served() -> bool:
        found = (run.cluster.get("Model", "ranker", "search") or {}).get("status", {}).get("rollout") or {}
        return (found.get("phase"), found.get("stable")) == ("Done", "v2")

    await run.apply(model(versions=VERSIONS[:1], rollout=rollout, selection=selection, drain="5s"))
    await run.until(lambda: version("v1").get("aliases") and version("v2"), "both versions", LONGEST_SECONDS)
    for name in ("v1", "v2"):  # what changes again before a leader has recorded it is in no history
        await run.recorded("ModelVersion", f"ranker-{name}", "search")
    run.registry.aliases["fleet-ranker"] = {"champion": 2}
    run.registry.versions["fleet-ranker"].append(registered(3))
    await run.until(lambda: is_served() and version("v3"), "the champion being served", LONGEST_SECONDS)
    await run.recorded("ModelVersion", "ranker-v3", "search")
    run.registry.versions["fleet-ranker"][2] = registered(3, tags=(("tidegate.image", "example.com/ranker:v3"),))
    await run.until(lambda: version("v3").get("image"), "the image that was said later", LONGEST_SECONDS)


async def pause(run: Run) -> None:
    await run.apply(model(paused="new weights are being checked"))
    await run.recorded("Model", "ranker", "search")
    await run.settled(3)
    await run.apply(model())


async def give_host(run: Run) -> None:
    """A host changes its tenant: the new one claims it before the old one lets it go."""
    await run.apply(tenant("ads", hosts=[{"name": "ads.models.example.com"}, {"name": "free.models.example.com"}]))
    await run.settled(2)
    await run.apply(tenant(hosts=[{"name": "search.models.example.com"}]))


async def with_free_host(run: Run) -> None:
    await with_two_tenants(run)
    await run.apply(tenant(hosts=[{"name": "search.models.example.com"}, {"name": "free.models.example.com"}]))


async def repair(run: Run) -> None:
    """Other writers change a route and a Service, and delete a DestinationRule."""
    http = [{"name": "stolen", "route": [{"destination": {"host": "elsewhere.example.com"}}]}]
    run.cluster.patch("VirtualService", "ranker", "search", {"spec": {"http": http}})
    run.cluster.delete("DestinationRule", "ranker", "search")


async def adopt(run: Run) -> None:
    """A tenant takes over a namespace and an edit of another writer."""
    await run.apply(tenant(drift="adopt"))
    await run.settled(2)
    run.cluster.patch("Deployment", "ranker-v1", "search", {"spec": {"template": {"spec": {"nodeName": "a"}}}})


async def by_hand(run: Run) -> None:
    """A gateway, and a namespace whose Gateway and route were made by hand."""
    await with_gateways(run)
    run.cluster.apply(namespace_by_hand(), gateway_by_hand(), route_by_hand())


async def take_over(run: Run) -> None:
    """A tenant and a model take over what was made by hand, and then have it as the documents say."""
    await run.apply(tenant(**ADOPTING), model())
    await run.programmed()
    await run.recorded("Tenant", "search")
    await run.apply(tenant(gateway=ADOPTING["gateway"]))


async def certify(run: Run) -> None:
    """A listener and a tenant get certificates of their own; one of them is for another host, and is renewed."""
    wild = {"name": "wild", "port": 9443, "protocol": "HTTPS", "domain": "apps.example.com", "credentialName": "wild"}
    await run.apply(gateway(listeners=[{"name": "http", "port": 8080, "protocol": "HTTP"}, wild]))
    await run.apply(tenant(hosts=[{"name": HOST, "tls": {"credentialName": "own"}}]))
    run.cluster.apply(_certificate("wild", "*.apps.example.com"), _certificate("own", "else.example.com"))
    await run.settled(3)
    run.cluster.apply(_certificate("own", HOST))


@cache
def _certificate(name: str, host: str) -> Manifest:
    return secret(BEGIN + timedelta(days=90), host, name=name, namespace="inference-gw")


async def delegate(run: Run) -> None:
    """A host's owner lets another tenant use a path, the other serves there, and the owner ends it."""
    claim = {"name": HOST, "delegations": [{"path": "/ads", "tenant": "ads"}]}
    await run.apply(tenant(hosts=[claim]))
    await run.apply(model("banner", "ads", routes=[{"host": HOST, "path": "/ads", "port": 8080}]))
    await run.programmed("banner", "ads")
    # A model that is not accepted any more keeps its limit and its history: both have to be there before.
    await run.limited(40, "banner", "ads")
    await run.recorded("Model", "banner", "ads")
    await run.recorded("Tenant", "search")
    await run.apply(tenant(hosts=[{"name": HOST}]))


async def transfer(run: Run) -> None:
    """An operator gives a host to another tenant by the REST API, and again where nothing came of it."""

    def owner() -> str:
        owners = [t["metadata"]["name"] for t in run.cluster.every("Tenant") if FREE in str(t["spec"]["hosts"])]
        return "".join(owners)

    while owner() == "search" or not owner():
        await run.attempt(lambda manager: manager.backend.transfers.give(FREE, "ads", "search", ChangeAuthor("anna")))
        if not owner():
            await run.until(owner, "somebody claiming the host that was given away", 60)


async def warm_up(run: Run) -> None:
    """A model gets a warm-up plan: its replicas are made again, and served when they have passed it."""
    await run.apply(model(warmup={"plan": plan()}))
    await asyncio.sleep(30)


async def manage(run: Run) -> None:
    """The manager runs a gateway's pods, and gives their number to an autoscaler."""
    place = namespace("managed-gw")
    run.cluster.apply({**place, "metadata": {**place["metadata"], "labels": {"tidegate.dev/gateway": "managed"}}})
    await run.apply(gateway("managed", "managed-gw", managed={"replicas": 2}))
    await run.until(lambda: run.cluster.get("Deployment", "managed", "managed-gw"), "the gateway's Deployment")
    await run.recorded("InferenceGateway", "managed")
    await run.apply(gateway("managed", "managed-gw", managed={"autoscale": {"min": 2, "max": 5}}))


async def with_model_in_git(run: Run) -> None:
    """A tenant with a model, whose manifests a tool applies from a branch."""
    await no_documents(run)
    await run.apply(gateway("other", "other-gw"))
    await create(run)


async def delete_in_git(run: Run) -> None:
    await delete_model(run)
    await run.gone("Deployment", "ranker-v1", "search")


async def move_in_git(run: Run) -> None:
    """A tenant moves to another gateway: the branch brings its Gateway there, and has the old one pruned."""
    await move_tenant(run)
    await run.until(lambda: run.cluster.get("Gateway", "tenant-search", "other-gw"), "the new Gateway")
    await run.gone("Gateway", "tenant-search", "inference-gw")


async def delete_all_in_git(run: Run) -> None:
    await delete_all(run)
    await run.gone("Gateway", "gateway-shared", "inference-gw")


def _scene(name: str, prepare: Script, script: Script, **more: Any) -> Scene:
    return Scene(name, prepare, script, **more)


SCENES = {
    scene.name: scene
    for scene in (
        _scene("create", no_documents, create),
        _scene("gateway-change", with_model, change_gateway),
        _scene("tenant-change", with_model, change_tenant),
        _scene("tenant-move", with_model, move_tenant),
        _scene("model-change", with_model, change_model),
        _scene("model-delete", with_model, delete_model),
        _scene("tenant-delete", with_model, delete_tenant),
        _scene("gateway-delete", with_model, delete_all),
        _scene("cascade-delete", with_model, cascade, quiet=FINISHED_SECONDS, later=FINISHED_SECONDS),
        _scene("limit", with_model, change_limit),
        _scene("scale", with_model, scale),
        _scene("autoscale", with_model, autoscale),
        _scene("override", with_model, set_aside),
        _scene("shadow", with_model, shadow, counting=60),
        _scene("ramp", with_model, ramp),
        _scene("slot-rollback", with_model, roll_back, later=ROLLED_BACK_SECONDS),
        _scene("handover", with_model, hand_over),
        _scene("traffic", with_model, shift),
        _scene("release", with_model, release),
        _scene("pause", with_model, pause),
        _scene("host-claim", with_free_host, give_host),
        _scene("certificates", with_model, certify),
        _scene("delegation", with_two_tenants, delegate),
        _scene("host-transfer", with_free_host, transfer, quiet=FINISHED_SECONDS, later=FINISHED_SECONDS),
        _scene("warm-up", with_model, warm_up),
        _scene("gateway-managed", with_gateways, manage),
        _scene("drift", with_model, repair, quiet=DRIFT_SECONDS, later=DRIFT_SECONDS),
        _scene("adopt", with_model, adopt, quiet=DRIFT_SECONDS),
        _scene("take-over", by_hand, take_over, quiet=DRIFT_SECONDS, later=DRIFT_SECONDS),
        _scene("git-create", no_documents, create, **BY_GIT),
        _scene("git-change", with_model_in_git, hand_over, **BY_GIT),
        _scene("git-delete", with_model_in_git, delete_in_git, **BY_GIT),
        _scene("git-move", with_model_in_git, move_in_git, **BY_GIT),
        _scene("git-delete-all", with_model_in_git, delete_all_in_git, **BY_GIT),
        _scene("registry", with_registered_model, register, settings=WITH_MLFLOW, later=READ_AGAIN_SECONDS),
    )
}
__all__ = ["SCENES", "SETTINGS"]
