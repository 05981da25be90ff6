"""Rollouts as documents show them: pods that do not start, and figures that hold for the pods that run."""

import pytest

from istio_templates.facts import ObjectKey
from istio_templates.names import FIGURES
from k8s_manager.kube.resources import RESOURCES
from tests.features.conftest import in_slot, make_search
from tests.support.documents import gateway, labels, model
from tests.support.fleet import QUICK
from tests.support.waiting import until

DEPLOYMENT = ObjectKey("Deployment", "search", "ranker-v1")


def ranker(qps: float = 20, image: str = "example.com/ranker:1", **workload) -> dict:
    version = {"name": "v1", "workload": {"replicas": 2, "image": image, **workload}}
    return model(versions=[version], rateLimit={"perReplicaQps": qps, "debounce": QUICK})


async def old_pods(fleet, count: int = 2, template: str = "old") -> list[ObjectKey]:
    return [await fleet.pod("search", {**labels(), "pod-template-hash": template}) for _ in range(count)]


async def limited_to(fleet, rate: float) -> None:
    found = {}

    async def is_so() -> bool:
        found.update(await in_slot(fleet))
        return list(found.values()) == [rate]

    await until(is_so, f"a limit of {rate}/s")


async def serving(fleet) -> None:
    await make_search(fleet)
    await fleet.pod("inference-gw", {"istio": "shared"})
    await old_pods(fleet)
    await limited_to(fleet, 40)


async def stuck_pod(fleet, status: dict, template: str = "new") -> ObjectKey:
    key = await fleet.pod("search", {**labels(), "pod-template-hash": template}, ready=False)
    await fleet.client.merge(key, {"status": status}, "status")
    return key


def waiting(reason: str, message: str, **more) -> dict:
    container = {"name": "model", "ready": False, "state": {"waiting": {"reason": reason, "message": message}}, **more}
    return {"containerStatuses": [container]}


async def rolling(fleet, **status) -> None:
    deployment = await fleet.client.get(DEPLOYMENT)
    counts = {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2}
    body = {"observedGeneration": deployment["metadata"]["generation"], **counts, **status}
    await fleet.client.merge(DEPLOYMENT, {"status": body}, "status")


async def says(fleet, type_: str, status: str, reason: str) -> dict:
    found = {}

    async def is_so() -> bool:
        found.update(await fleet.condition("Model", "ranker", type_, "search"))
        return (found.get("status"), found.get("reason")) == (status, reason)

    await until(is_so, f"{type_} {status} {reason}")
    return found


@pytest.mark.parametrize(
    ("status", "reason", "said", "to_do"),
    [
        (
            waiting("ImagePullBackOff", 'Back-off pulling image "x"'),
            "ImagePullBackOff",
            'image "x"',
            "correct the image",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "hf-token" not found'),
            "CreateContainerConfigError",
            "hf-token",
            "create the ConfigMap or Secret",
        ),
        (
            waiting("CrashLoopBackOff", "back-off", restartCount=4, lastState={"terminated": {"exitCode": 3}}),
            "CrashLoopBackOff",
            "exit code 3 (Error), restarted 4 times",
            "kubectl logs -n search",
        ),
        (
            waiting(
                "CrashLoopBackOff",
                "",
                restartCount=1,
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "CrashLoopBackOff",
            "OOMKilled",
            "more memory",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 gpu"}
                ]
            },
            "Unschedulable",
            "0/3 gpu",
            "add nodes",
        ),
    ],
    ids=["pull", "config", "crash", "memory", "schedule"],
)
async def test_a_pod_that_does_not_start_is_told_with_its_own_reason_until_it_is_mended(
    fleet, status, reason, said, to_do
):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await serving(fleet)
        await fleet.apply(ranker(image="example.com/ranker:2"))
        await until(lambda: image_is(fleet, "example.com/ranker:2"), "the new template")
        await rolling(fleet)
        pod = await stuck_pod(fleet, status)
        condition = await says(fleet, "Degraded", "True", reason)
        assert said in condition["message"] and to_do in condition["message"] and pod.name in condition["message"]
        assert "2 replicas serve on" in condition["message"]
        progress = await says(fleet, "Progressing", "True", "ReplicaSetUpdated")
        assert "1 of 2 replicas" in progress["message"]
        for about in ("limit", "ready"):
            _, found = await rest.call("GET", f"/v1/tenants/search/models/ranker/explain?about={about}")
            assert any(reason in line and to_do in line for line in found["explanation"]), found["explanation"]
        events = await until(lambda: fleet.events("search", "Model", "Warning"), what="the event")
        assert [event["reason"] for event in events] == [reason]
        await fleet.client.delete(pod)
        await rolling(fleet, replicas=2, updatedReplicas=2)
        await says(fleet, "Degraded", "False", "AsExpected")
        await says(fleet, "Progressing", "True", "NewReplicaSetAvailable")


async def test_a_rollout_that_stands_still_or_is_refused_is_told_as_a_deployment_tells_it(fleet):
    async with fleet.manager():
        await serving(fleet)
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
        await fleet.apply(ranker(image="example.com/ranker:2"))
        await until(lambda: image_is(fleet, "example.com/ranker:2"), "the new template")
        await rolling(fleet, conditions=[late])
        assert "kubectl describe" in (await says(fleet, "Progressing", "False", "ProgressDeadlineExceeded"))["message"]
        await says(fleet, "Degraded", "True", "ProgressDeadlineExceeded")
        quota = {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": "exceeded quota: gpus",
        }
        await rolling(fleet, conditions=[quota])
        condition = await says(fleet, "Degraded", "True", "ReplicaFailure")
        assert "exceeded quota: gpus" in condition["message"] and "raise the quota" in condition["message"]
        await says(fleet, "Progressing", "False", "ReplicaFailure")


async def test_a_managed_gateway_tells_its_stuck_pods_too(fleet):
    async with fleet.manager():
        await fleet.apply(gateway(namespace="managed-gw", managed={"replicas": 1}))
        await until(lambda: fleet.get("Deployment", "shared", "managed-gw"), "the gateway's Deployment")
        pod = await fleet.pod("managed-gw", {"istio": "shared", "tidegate.dev/gateway": "shared"}, ready=False)
        await fleet.client.merge(pod, {"status": waiting("ImagePullBackOff", "auto: not found")}, "status")

        async def is_told() -> bool:
            found = await fleet.condition("InferenceGateway", "shared", "Degraded")
            return found.get("reason") == "ImagePullBackOff" and "auto: not found" in found["message"]

        await until(is_told, "the gateway being degraded")


async def test_a_new_figure_counts_for_the_pods_of_its_template_and_not_for_those_before(fleet):
    async with fleet.manager():
        await serving(fleet)
        await fleet.apply(ranker(qps=50, image="example.com/ranker:2"))
        await until(lambda: image_is(fleet, "example.com/ranker:2"), "the new template")
        await stuck_pod(fleet, waiting("ImagePullBackOff", "no"))
        await says(fleet, "Degraded", "True", "ImagePullBackOff")
        assert list((await in_slot(fleet)).values()) == [40]
        inputs = (await fleet.status("Model", "ranker", "search"))["limit"]["inputs"]
        assert inputs[0]["older"] == [{"ready": 2, "perReplicaQps": 20}]
    async with fleet.manager() as manager:  # another leader knows it too
        await until(manager.loops.main.passed.is_set, what="the first pass")
        await fleet.settled()
        assert list((await in_slot(fleet)).values()) == [40]
        await fleet.pod("search", {**labels(), "pod-template-hash": "mended"})
        await limited_to(fleet, 90)
        await fleet.apply(ranker(qps=45, image="example.com/ranker:2"))  # alone, it holds at once for the new ones
        await limited_to(fleet, 85)
        await fleet.apply(ranker(qps=10, image="example.com/ranker:2"))  # and lower, for all
        await limited_to(fleet, 30)
        await fleet.apply(ranker(qps=45, image="example.com/ranker:2"))
        await limited_to(fleet, 65)
        for pod, _ in await listed(fleet, "old"):
            await fleet.client.delete(pod)
        await limited_to(fleet, 45)
        await until(lambda: has_no_record(fleet), "the record being gone with the old pods")


async def test_a_figure_that_changes_alone_rolls_nothing_and_holds_for_all_pods_at_once(fleet):
    async with fleet.manager():
        await serving(fleet)
        before = await fleet.client.get(DEPLOYMENT)
        await fleet.apply(ranker(qps=35))
        await limited_to(fleet, 70)
        await fleet.apply(ranker(qps=35, replicas=3))
        await until(lambda: replicas_are(fleet, 3), "three replicas")
        after = await fleet.client.get(DEPLOYMENT)
        assert after["spec"]["template"] == before["spec"]["template"] and FIGURES not in annotations(after)
        assert list((await in_slot(fleet)).values()) == [70]


async def test_a_rollback_gives_the_pods_that_stayed_what_the_document_says_of_their_template(fleet):
    async with fleet.manager():
        await serving(fleet)
        await fleet.apply(ranker(qps=50, image="example.com/ranker:2"))
        await until(lambda: image_is(fleet, "example.com/ranker:2"), "the new template")
        assert FIGURES in annotations(await fleet.client.get(DEPLOYMENT))
        await fleet.apply(ranker(qps=30))
        await limited_to(fleet, 60)
        await until(lambda: has_no_record(fleet), "no record")


async def test_what_changed_while_no_manager_ran_is_noticed_by_the_next_one(fleet):
    async with fleet.manager():
        await serving(fleet)
        await until(lambda: has_inputs(fleet), "the figures in the status")
    await fleet.apply(ranker(qps=50, command=["serve", "--fast"]))
    async with fleet.manager():
        await until(lambda: has_command(fleet), "the new template")
        await fleet.settled()
        assert list((await in_slot(fleet)).values()) == [40]


async def test_a_version_that_serves_on_after_its_document_dropped_it_keeps_its_figure(fleet):
    async with fleet.manager():
        await serving(fleet)
        version = {"name": "v2", "workload": {"replicas": 2, "image": "example.com/ranker:2"}}
        await fleet.client.merge(DEPLOYMENT, {"status": {"readyReplicas": 2}}, "status")
        changed = ranker(qps=500)
        changed["spec"] |= {"versions": [version], "traffic": [{"version": "v2", "weight": 100}]}
        await fleet.apply(changed)
        await until(lambda: fleet.get("Deployment", "ranker-v2", "search"), "the new version")
        await fleet.settled()
        assert list((await in_slot(fleet)).values()) == [40]


def annotations(obj: dict) -> dict:
    return obj["metadata"].get("annotations") or {}


async def image_is(fleet, image: str) -> bool:
    found = await fleet.client.get(DEPLOYMENT)
    return found["spec"]["template"]["spec"]["containers"][0]["image"] == image


async def has_command(fleet) -> bool:
    found = await fleet.client.get(DEPLOYMENT)
    return "command" in found["spec"]["template"]["spec"]["containers"][0]


async def replicas_are(fleet, count: int) -> bool:
    return (await fleet.client.get(DEPLOYMENT))["spec"]["replicas"] == count


async def has_no_record(fleet) -> bool:
    return FIGURES not in annotations(await fleet.client.get(DEPLOYMENT))


async def has_inputs(fleet) -> bool:
    limit = (await fleet.status("Model", "ranker", "search")).get("limit") or {}
    return [found["ready"] for found in limit.get("inputs", ())] == [2]


async def listed(fleet, template: str) -> list[tuple[ObjectKey, dict]]:
    pods, _ = await fleet.client.list(RESOURCES["Pod"], f"pod-template-hash={template}", namespace="search")
    return [(ObjectKey("Pod", "search", pod["metadata"]["name"]), pod) for pod in pods]
