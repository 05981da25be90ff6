"""The right that each endpoint of the REST API asks for. What does not stand here is not served."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from k8s_manager.authz.roles import Caller, Right, Role, roles_with


class Scope(Enum):
    """Where a right has to hold."""

    OPEN = "open"
    """Nowhere: every caller may call."""
    KNOWN = "known"
    """Nowhere, but the caller has to be known."""
    ANYWHERE = "anywhere"
    """In some tenant or in the fleet; the answer holds what the caller may see."""
    TENANT = "tenant"
    """In the tenant that the path names."""
    FLEET = "fleet"
    """In the fleet."""


@dataclass(frozen=True, slots=True)
class Need:
    """A right and where it has to hold; `parameter` is the part of the path that names the tenant."""

    place: Scope
    right: Right = Right.READ
    parameter: str = "tenant"


class AccessDecision(Enum):
    """Decision on a call."""

    ALLOWED = "allowed"
    HIDDEN = "hidden"
    """The API answers as if there were nothing."""
    DENIED = "denied"


def _crud(path: str, read: Need, write: Need, many: Need | None = None) -> dict[tuple[str, str], Need]:
    one = path + "/{name}"
    writes = {(method, one): write for method in ("PUT", "PATCH", "DELETE")}
    return {("GET", path): many or read, ("GET", one): read, **writes}


def _history(path: str, read: Need, write: Need) -> dict[tuple[str, str], Need]:
    reads = {("GET", path + "/{name}/history" + tail): read for tail in ("", "/{revision}")}
    return {**reads, ("POST", path + "/{name}/rollback"): write}


_FLEET_READ, _FLEET_MANAGE = Need(Scope.FLEET), Need(Scope.FLEET, Right.MANAGE)
_READ, _OPERATE = Need(Scope.TENANT), Need(Scope.TENANT, Right.OPERATE)
_MODELS = "/v1/tenants/{tenant}/models"
_MODEL = _MODELS + "/{model}"
_OVERRIDE = _MODEL + "/limit/override"
_REGISTRY = "/v1/tenants/{tenant}/modelversions"
_CALLERS = "/v1/tenants/{tenant}/callers"
_MANAGE_CALLERS = Need(Scope.TENANT, Right.CALLERS)

_MODEL_READS = ("/limit", "/explain", "/replicas", "/release", "/selection", "/versions/{version}/replicas")
NEEDS: Mapping[tuple[str, str], Need] = {
    **{("GET", path): Need(Scope.OPEN) for path in ("/healthz", "/readyz", "/metrics")},
    ("GET", "/v1/whoami"): Need(Scope.KNOWN),
    ("GET", "/v1/events"): Need(Scope.ANYWHERE),
    ("POST", "/v1/simulate"): Need(Scope.ANYWHERE),
    ("POST", "/v1/render"): Need(Scope.ANYWHERE),
    ("POST", "/v1/plan"): Need(Scope.ANYWHERE),
    ("GET", "/v1/git"): _FLEET_READ,
    ("GET", "/v1/doctor"): _FLEET_READ,
    ("GET", "/v1/audit"): _FLEET_MANAGE,
    ("GET", "/v1/claims"): Need(Scope.ANYWHERE),
    ("GET", "/v1/models"): Need(Scope.ANYWHERE),
    **{(method, "/v1/claims/{host}"): _FLEET_MANAGE for method in ("PUT", "DELETE")},
    **_crud("/v1/gateways", _FLEET_READ, _FLEET_MANAGE),
    **_crud("/v1/grants", _FLEET_MANAGE, _FLEET_MANAGE),
    **_crud("/v1/overrides", Need(Scope.ANYWHERE), Need(Scope.FLEET, Right.OVERRIDE)),
    **_crud("/v1/tenants/{tenant}/overrides", _READ, _OPERATE),
    **_crud(_REGISTRY, _READ, _OPERATE),
    ("POST", _REGISTRY): _OPERATE,
    ("POST", _REGISTRY + "/{name}/evaluations"): _OPERATE,
    **{(verb, _REGISTRY + f"/{{name}}/{what}"): _OPERATE for verb in ("PUT", "DELETE") for what in ("block", "pin")},
    ("PUT", _REGISTRY + "/{name}/pin/approval"): _OPERATE,
    **_crud(_CALLERS, _READ, _MANAGE_CALLERS),
    **_history(_CALLERS, _READ, _MANAGE_CALLERS),
    **{("POST", _CALLERS + "/{name}" + end): _MANAGE_CALLERS for end in ("/tokens", "/revocations")},
    ("POST", "/v1/tenants/{tenant}/keys/rotate"): _MANAGE_CALLERS,
    **_crud("/v1/tenants", Need(Scope.TENANT, parameter="name"), _FLEET_MANAGE, Need(Scope.ANYWHERE)),
    **_crud(_MODELS, _READ, Need(Scope.TENANT, Right.EDIT)),
    **_history("/v1/gateways", _FLEET_READ, _FLEET_MANAGE),
    **_history("/v1/overrides", _FLEET_READ, Need(Scope.FLEET, Right.OVERRIDE)),
    **_history("/v1/tenants/{tenant}/overrides", _READ, _OPERATE),
    **_history(_REGISTRY, _READ, _OPERATE),
    **_history("/v1/grants", _FLEET_MANAGE, _FLEET_MANAGE),
    **_history("/v1/tenants", Need(Scope.TENANT, parameter="name"), _FLEET_MANAGE),
    **_history(_MODELS, _READ, Need(Scope.TENANT, Right.EDIT)),
    ("GET", "/v1/gateways/{name}/objects"): _FLEET_READ,
    ("GET", "/v1/tenants/{name}/objects"): Need(Scope.TENANT, parameter="name"),
    ("GET", _MODELS + "/{name}/objects"): _READ,
    ("GET", "/v1/tenants/{tenant}/rollouts"): _READ,
    **{("GET", _MODEL + path): _READ for path in _MODEL_READS},
    **{
        ("PUT", _MODEL + path): _OPERATE
        for path in ("/traffic", "/pause", "/release", "/measurement", "/versions/{version}/scale")
    },
    **{(verb, _MODEL + "/versions/{version}/autoscale"): _OPERATE for verb in ("PUT", "DELETE")},
    ("GET", "/v1/stats"): Need(Scope.ANYWHERE),
    **{("GET", "/v1/gateways/{name}" + path): _FLEET_READ for path in ("/stats", "/dataplane")},
    **{("GET", path + end): _READ for path in ("/v1/tenants/{tenant}", _MODEL) for end in ("/stats", "/usage")},
    ("GET", _MODEL + "/logs"): _READ,
    ("POST", _MODEL + "/selection"): _READ,
    ("GET", _OVERRIDE): _READ,
    ("PUT", _OVERRIDE): _OPERATE,
    ("DELETE", _OVERRIDE): _OPERATE,
}


def decide(caller: Caller, need: Need, parameters: Mapping[str, str]) -> AccessDecision:
    """Decide on a call; pure."""
    match need.place:
        case Scope.OPEN | Scope.KNOWN:
            return AccessDecision.ALLOWED
        case Scope.ANYWHERE:
            return AccessDecision.ALLOWED if caller.grants else AccessDecision.DENIED
        case Scope.FLEET:
            return AccessDecision.ALLOWED if caller.may(need.right) else AccessDecision.DENIED
        case Scope.TENANT:
            tenant = parameters[need.parameter]
            if not caller.may(Right.READ, tenant):
                return AccessDecision.HIDDEN
            return AccessDecision.ALLOWED if caller.may(need.right, tenant) else AccessDecision.DENIED


def needed(need: Need) -> tuple[Role, ...]:
    """Return the roles that would do, the least first."""
    return roles_with(need.right)
