"""What a gateway is told about itself: its pods, foreign names in its slots, whether its pods run what was written."""

from collectors.replicas import PodState
from istio_templates.documents import InferenceGatewaySpec
from istio_templates.facts import Manifest
from k8s_manager.dataplane.config_probe import Trouble
from k8s_manager.world.condition import Condition
from k8s_manager.world.proxy_version import too_old
from ratelimiter.fairness import Uneven


def gateway_status(
    spec: InferenceGatewaySpec,
    pods: tuple[PodState, ...],
    twins: tuple[str, ...],
    trouble: Trouble | None,
    rolled_back: tuple[int, ...],
    rejects: tuple[tuple[str, int], ...],
) -> tuple[Manifest, list[Condition]]:
    """Return status and conditions of a gateway, from its pods, foreign EnvoyFilters, and what its pods run."""
    ready = [pod for pod in pods if pod.ready and not pod.leaving]
    addresses = sorted(f"{pod.address}:{listener.port}" for pod in ready if pod.address for listener in spec.listeners)
    serves = Condition("Ready", True, "Ready", f"{len(ready)} of {len(pods)} gateway pods are ready")
    if not ready:
        labels = ", ".join(f"{name}={value}" for name, value in spec.selector.items())
        message = f"no gateway pod with {labels} is ready in namespace {spec.namespace}; start or mend them"
        serves = Condition("Ready", False, "NoGatewayPod", message)
    if old := [pod for pod in pods if too_old(pod.proxy)]:
        listed = ", ".join(f"{pod.name} ({pod.proxy})" for pod in old)
        message = f"{listed}: a proxy before Istio 1.30 refuses the limits; upgrade Istio and restart these pods"
        serves = Condition("Ready", False, "ProxyTooOld", message)
    told = [serves, _unique(twins), *([] if trouble is None else [_proved(trouble, rolled_back, _by_istiod(rejects))])]
    return {"pods": {"total": len(pods), "ready": len(ready)}, "addresses": addresses}, told


def even(uneven: Uneven | None, told_before: bool) -> list[Condition]:
    """Tell whether one gateway pod refuses while another idles; where none ever did, nothing is told."""
    if uneven is None:
        return (
            [Condition("LoadEven", True, "Even", "no gateway pod refuses while another idles")] if told_before else []
        )
    message = (
        f"{uneven.refusing} gets {uneven.its_share:.0%} of the requests and refused {uneven.refused} in the last "
        f"minute, {uneven.idle} gets {uneven.idle_share:.0%} and refuses none: clients keep few long connections. Let "
        "them open more, or balance requests and not connections before the gateway; fewer gateway pods help too"
    )
    return [Condition("LoadEven", False, "Uneven", message)]


def _by_istiod(rejects: tuple[tuple[str, int], ...]) -> str:
    """Return what istiod says of rejections, or where to look."""
    counted = ", ".join(f"{count} of {kind.upper()}" for kind, count in rejects if count)
    return f"istiod has counted rejections: {counted}" if counted else "look at istiod's pilot_total_xds_rejects"


def _proved(trouble: Trouble, rolled_back: tuple[int, ...], istiod: str) -> Condition:
    """Tell whether every gateway pod runs the limits that were written."""
    if rolled_back:
        message = (
            f"no gateway pod took the new limits of slot {_listed(rolled_back)}; those proved last are written again; "
            f"{istiod}; the pods' logs say why"
        )
        return Condition("LimitsApplied", False, "Rejected", message)
    if not trouble:
        return Condition("LimitsApplied", True, "Applied", "every gateway pod runs what was written, or is about to")
    pod, state, slots = trouble[0]
    who = f"{pod} (and {len(trouble) - 1} more)" if len(trouble) > 1 else pod
    if state == "NoAnswer":
        message = f"{who} does not answer the probe; what it limits is not known. Let the manager reach its HTTP port"
    else:
        message = f"{who} does not run what was written for slot {_listed(slots)}; {istiod}; its log says why"
    return Condition("LimitsApplied", False, state, message)


def _listed(slots: tuple[int, ...]) -> str:
    return ", ".join(map(str, slots))


def _unique(twins: tuple[str, ...]) -> Condition:
    """Tell whether the slots' names are ours alone: Envoy stops taking any limit when one of them comes twice."""
    if twins:
        message = f"EnvoyFilter {', '.join(twins)} has a slot's name: the gateway pods take no new limit; delete it"
        return Condition("SlotsUnique", False, "Duplicate", message)
    return Condition("SlotsUnique", True, "Unique", "no other EnvoyFilter has the name of a slot")
