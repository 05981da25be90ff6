"""Status of a gateway: its pods, foreign names in its slots, whether its pods run what was written. Pure."""

from typing import NamedTuple

from collectors.replicas import PodState
from istio_templates.documents import InferenceGatewaySpec
from istio_templates.facts import Manifest
from istio_templates.host_port import joined
from k8s_manager.dataplane.config_probe import Trouble
from k8s_manager.status.document_status import DocumentInputs, condition_before, rendered_status
from k8s_manager.status.rollout_status import DeploymentState, rollout_conditions
from k8s_manager.world.condition import Condition
from k8s_manager.world.proxy_version import too_old
from k8s_manager.world.world import Stored
from ratelimiter.fairness import Uneven


class GatewayInputs(NamedTuple):
    """What the status of a gateway is made from.

    `duplicates` are foreign EnvoyFilters with the name of a slot. `trouble` are pods that do not run what was written,
    None before the first config probe, `probed` whether gateway pods have been probed at all. `rolled_back` are the
    slots whose last limits were restored, `rejects` what istiod counted as rejected, by type of configuration; `unread`
    are the pods whose counters could not be read, None before the load could be compared; `rollouts` is the Deployment
    of a managed gateway.
    """

    spec: InferenceGatewaySpec
    pods: tuple[PodState, ...]
    duplicates: tuple[str, ...]
    trouble: Trouble | None
    rolled_back: tuple[int, ...]
    rejects: tuple[tuple[str, int], ...]
    uneven: Uneven | None
    probed: bool
    unread: tuple[str, ...] | None = ()
    rollouts: tuple[DeploymentState, ...] = ()


def gateway_status(stored: Stored, document: DocumentInputs, inputs: GatewayInputs) -> Manifest:
    """Return the status of a gateway."""
    pods = inputs.pods
    ready = [pod for pod in pods if pod.ready and not pod.leaving]
    ports = {listener.port for listener in inputs.spec.listeners}
    addresses = sorted(joined(pod.address, port) for pod in ready if pod.address for port in ports)
    conditions = [_ready(stored.key.name, inputs.spec, pods, ready), _slots_unique(inputs.duplicates)]
    if inputs.trouble is not None:
        rejections = _rejections(inputs.rejects)
        conditions.append(_limits_applied(inputs.trouble, inputs.rolled_back, rejections, bool(ready)))
    conditions += _load_even(inputs.uneven, inputs.unread if ready else None, condition_before(stored, "LoadEven"))
    conditions += rollout_conditions(inputs.rollouts, stored)
    body = {"pods": {"total": len(pods), "ready": len(ready)}, "addresses": addresses}
    status = rendered_status(stored, document, body, conditions)
    return status if inputs.probed else _with_last_probe(status, stored)


def _with_last_probe(status: Manifest, stored: Stored) -> Manifest:
    """Keep what the last manager found out until the gateway pods have been probed again."""
    before = condition_before(stored, "LimitsApplied")
    if before and all(condition["type"] != "LimitsApplied" for condition in status["conditions"]):
        status["conditions"].append(before)
    return status


def _ready(name: str, spec: InferenceGatewaySpec, pods: tuple[PodState, ...], ready: list[PodState]) -> Condition:
    if old := [pod for pod in pods if too_old(pod.proxy)]:
        listed = ", ".join(f"{pod.name} ({pod.proxy})" for pod in old)
        message = (
            f"the proxy of gateway pod {listed} is older than Istio 1.30 and rejects the limits; upgrade Istio and "
            "restart these pods"
        )
        return Condition("Ready", False, "ProxyTooOld", message)
    if not ready:
        labels = ",".join(f"{key}={value}" for key, value in spec.selector.items())
        message = (
            f"gateway {name} has no ready pod in namespace {spec.namespace}; start one, or check the selector {labels}"
        )
        return Condition("Ready", False, "NoGatewayPod", message)
    return Condition("Ready", True, "Ready", f"{len(ready)} of {len(pods)} gateway pods are ready")


def _load_even(uneven: Uneven | None, unread: tuple[str, ...] | None, before: Manifest | None) -> list[Condition]:
    """Report whether one gateway pod rejects requests while another is idle; nothing where that never happened."""
    if uneven is not None:
        message = (
            f"gateway pod {uneven.refusing} gets {uneven.its_share:.0%} of the requests and rejected {uneven.refused} "
            f"in the last minute, {uneven.idle} gets {uneven.idle_share:.0%} and rejected none, because clients keep "
            "few long connections; let clients open more connections, balance requests instead of connections before "
            "the gateway, or run fewer gateway pods"
        )
        return [Condition("LoadEven", False, "Uneven", message)]
    if before is None:
        return []
    if unread == ():
        message = "no gateway pod rejects requests while another one has capacity left"
        return [Condition("LoadEven", True, "Even", message)]
    pods = f"gateway pod {', '.join(unread)}" if unread else "the gateway pods"
    message = (
        f"the counters of {pods} have not been read, so it is not known whether the load is even; wait, or let the "
        "manager reach the statistics port of the pods"
    )
    return [Condition("LoadEven", None, "NotRead", message)]


def _rejections(rejects: tuple[tuple[str, int], ...]) -> str:
    """Return what istiod counted as rejected, or where to look."""
    counted = ", ".join(f"{count} of {kind.upper()}" for kind, count in rejects if count)
    return f"istiod has counted rejections: {counted}" if counted else "check istiod's metric pilot_total_xds_rejects"


def _limits_applied(trouble: Trouble, rolled_back: tuple[int, ...], rejections: str, has_pods: bool) -> Condition:
    """Report whether every gateway pod runs the limits that were written."""
    if rolled_back:
        message = (
            f"no gateway pod accepted the new limits of slot {_listed(rolled_back)}, and the manager has restored the "
            f"last applied ones; {rejections}; read the logs of the gateway pods"
        )
        return Condition("LimitsApplied", False, "Rejected", message)
    if not trouble and not has_pods:
        message = "no gateway pod is ready, so none runs the written limits; see condition Ready"
        return Condition("LimitsApplied", None, "NoGatewayPod", message)
    if not trouble:
        message = "every gateway pod runs the written limits, or will within seconds"
        return Condition("LimitsApplied", True, "Applied", message)
    pod, state, slots = trouble[0]
    pods = f"{pod} (and {len(trouble) - 1} more)" if len(trouble) > 1 else pod
    if state == "NoAnswer":
        message = (
            f"gateway pod {pods} does not answer the config probe, so its limits are unknown; let the manager reach "
            "the HTTP port of the pod"
        )
    else:
        message = (
            f"gateway pod {pods} does not run the limits that were written for slot {_listed(slots)}; {rejections}; "
            "read the log of the pod"
        )
    return Condition("LimitsApplied", False, state, message)


def _slots_unique(duplicates: tuple[str, ...]) -> Condition:
    """Report whether only the manager uses the names of slots: with a duplicate, Envoy accepts no limit any more."""
    if duplicates:
        message = (
            f"EnvoyFilter {', '.join(duplicates)} has the name of a limit slot, so the gateway pods accept no new "
            "limits; delete it"
        )
        return Condition("SlotsUnique", False, "Duplicate", message)
    return Condition("SlotsUnique", True, "Unique", "no other EnvoyFilter has the name of a limit slot")


def _listed(slots: tuple[int, ...]) -> str:
    return ", ".join(map(str, slots))
