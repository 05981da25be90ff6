"""Conditions Progressing and Degraded: how far Deployments have come, and which of their pods do not start. Pure.

Progressing has the reasons of a Kubernetes Deployment and holds while it goes on or is complete; Degraded has the
reason of a pod that does not start, in Kubernetes' words.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from istio_templates import names
from istio_templates.documents import InferenceGatewaySpec, ModelSpec
from istio_templates.facts import Pairs
from k8s_manager.status.document_status import condition_before
from k8s_manager.world.condition import Condition
from k8s_manager.world.rollout import Rollout, StuckPod
from k8s_manager.world.world import Stored, World

EXCEEDED = "ProgressDeadlineExceeded"
REFUSED = "ReplicaFailure"
_TO_DO = {
    "ImagePullBackOff": "correct the image, give the pod imagePullSecrets, or let the node reach the registry",
    "InvalidImageName": "correct the image",
    "ErrImageNeverPull": "load the image on the node, or change imagePullPolicy",
    "CreateContainerConfigError": "create the ConfigMap or Secret that it names, or correct the reference",
    "CreateContainerError": "correct command and args, or use an image that has a command",
    "RunContainerError": "correct command and args, or use an image that has this command",
    "Unschedulable": "free resources, add nodes, or ask for less",
    EXCEEDED: "look at its pods with kubectl describe pod -n {namespace}, and correct the pod template",
    REFUSED: "raise the quota of namespace {namespace}, correct what refuses its pods, or ask for less",
}
_MEMORY = "give its container more memory in resources.limits"
_LOG = (
    "read its log with kubectl logs -n {namespace} {pod} -c {container} --previous, and correct command, args or image"
)
_LOOK = "look at it with kubectl describe pod -n {namespace} {pod}"


class DeploymentState(NamedTuple):
    """A Deployment, `what` it runs (in words), the namespace, and its pods that take no requests."""

    what: str
    namespace: str
    rollout: Rollout
    stuck: tuple[StuckPod, ...]

    @property
    def failing(self) -> list[StuckPod]:
        """The pods that do not start by themselves."""
        return [pod for pod in self.stuck if pod.trouble.is_failure]


def deployment_state(world: World, namespace: str, name: str, what: str, labels: Pairs) -> DeploymentState | None:
    """Return a Deployment of the manager with its stuck pods, which carry `labels`; None where there is none."""
    rollout = world.rollouts.get((namespace, name))
    if rollout is None:
        return None
    wanted = frozenset(labels)
    stuck = tuple(pod for pod in world.stuck.get(namespace, ()) if wanted <= pod.labels)
    return DeploymentState(what, namespace, rollout, stuck)


def rollout_conditions(deployments: Sequence[DeploymentState], stored: Stored) -> list[Condition]:
    """Return Progressing and Degraded; nothing for Deployments on which no Kubernetes controller has acted yet."""
    known = condition_before(stored, "Degraded") is not None
    seen = known or any(found.rollout.observed is not None or found.failing for found in deployments)
    return [_progressing(deployments), _degraded(deployments)] if deployments and seen else []


def complaints(conditions: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yield what the conditions in a status say of a rollout that does not go well, as sentences."""
    for condition in conditions:
        wrong = {"Progressing": "False", "Degraded": "True"}.get(condition["type"])
        if condition["status"] == wrong:
            said = condition["message"]
            yield f"{condition['type']} is {condition['status']} ({condition['reason']}): {said}."


def _progressing(deployments: Sequence[DeploymentState]) -> Condition:
    for found in deployments:
        if found.rollout.refused:
            said = f"{_count(found)}: {found.rollout.refused[1]}; {_to_do(REFUSED, found)}"
            return Condition("Progressing", False, REFUSED, said)
        if found.rollout.progressing and found.rollout.is_observed:
            reason, said = found.rollout.progressing
            told = _of_pods(found, found.stuck) or f"{said}; {_to_do(EXCEEDED, found)}"
            return Condition("Progressing", False, reason or EXCEEDED, f"{_count(found)}: {told}")
    for found in deployments:
        if not found.rollout.is_observed:
            said = f"{found.what}: Kubernetes has not acted on the last change yet; wait"
            return Condition("Progressing", True, "ReplicaSetUpdated", said)
        if not found.rollout.is_complete:
            told = f": {_of_pods(found, found.failing)}" if found.failing else ""
            return Condition("Progressing", True, "ReplicaSetUpdated", f"{_count(found)}{told}")
    said = "all replicas run the pod template of the document and are available"
    return Condition("Progressing", True, "NewReplicaSetAvailable", said)


def _degraded(deployments: Sequence[DeploymentState]) -> Condition:
    for found in deployments:
        if found.failing:
            reason = found.failing[0].trouble.reason
            return Condition("Degraded", True, reason, f"{found.what}: {_of_pods(found, found.failing)}{_on(found)}")
    for found in deployments:
        if found.rollout.refused:
            said = f"{found.what}: {found.rollout.refused[1]}; {_to_do(REFUSED, found)}{_on(found)}"
            return Condition("Degraded", True, REFUSED, said)
        if found.rollout.progressing and found.rollout.is_observed:
            told = _of_pods(found, found.stuck) or f"{found.rollout.progressing[1]}; {_to_do(EXCEEDED, found)}"
            return Condition("Degraded", True, EXCEEDED, f"{found.what}: {told}{_on(found)}")
    return Condition("Degraded", False, "AsExpected", "no pod fails to start")


def _of_pods(found: DeploymentState, pods: Sequence[StuckPod]) -> str:
    """Return what is wrong with the first of some pods, and what to do; empty without one."""
    if not pods:
        return ""
    pod, more = pods[0], f" (and {len(pods) - 1} more)" if len(pods) > 1 else ""
    trouble = pod.trouble
    said = f", {trouble.said}" if trouble.said else ""
    to_do = _to_do(trouble.reason, found, pod)
    return f"pod {pod.name}{more} takes no requests: {trouble.reason}{said}; {to_do}"


def _to_do(reason: str, found: DeploymentState, pod: StuckPod | None = None) -> str:
    said = _TO_DO.get(reason, _LOOK)
    if pod and reason == "CrashLoopBackOff":
        said = _MEMORY if "OOMKilled" in pod.trouble.said else _LOG
    container = pod.trouble.container if pod else ""
    return said.format(namespace=found.namespace, pod=pod.name if pod else "", container=container)


def _count(found: DeploymentState) -> str:
    rollout = found.rollout
    new = min(rollout.updated, rollout.wanted)
    return (
        f"{found.what}: {new} of {rollout.wanted} replicas have the new pod template, {rollout.available} are available"
    )


def _on(found: DeploymentState) -> str:
    """Return how many replicas serve meanwhile, if any do."""
    serving = found.rollout.available
    return f"; until then {serving} replica{'s' if serving != 1 else ''} serve on" if serving else ""


def pods_of_version(model: str, version: str) -> Pairs:
    """Return the labels of the pods that a version's Deployment makes, as its selector has them."""
    return ((names.MODEL, model), (names.VERSION, version))


def gateway_rollout(name: str, spec: InferenceGatewaySpec, world: World) -> tuple[DeploymentState, ...]:
    """Return the Deployment of a managed gateway; nothing of one whose pods another owner runs."""
    if spec.managed is None:
        return ()
    found = deployment_state(world, spec.namespace, name, f"gateway {name}", ((names.GATEWAY, name),))
    return (found,) if found else ()


def model_rollouts(namespace: str, model: str, spec: ModelSpec, world: World) -> tuple[DeploymentState, ...]:
    """Return the Deployments of a model's versions; those that only drain have no part in it."""
    serving = {version.name for version in spec.versions}.union(world.departed.get((namespace, model), ()))
    deployed = (found.version for found in world.deployed.get((namespace, model), ()))
    versions = sorted(version for version in deployed if version in serving)
    found = (
        deployment_state(
            world, namespace, names.deployment(model, name), f"version {name}", pods_of_version(model, name)
        )
        for name in versions
    )
    return tuple(state for state in found if state)
