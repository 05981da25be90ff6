"""Model: what a tenant serves, by which routes, from which versions, under which limit."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from istio_templates.documents.arms.sticky import Sticky
from istio_templates.documents.arms.traffic_match import MOST_MATCHES, TrafficMatch, check_matches
from istio_templates.documents.attachment import AttachTo
from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.fields import (
    Count,
    DnsLabel,
    Duration,
    EnvVars,
    HeaderName,
    Labels,
    OfKubernetes,
    ProxyDuration,
    Rate,
    Spec,
    TextPassed,
    seconds,
)
from istio_templates.documents.rate_limit import RateLimit, VersionLimit
from istio_templates.documents.rollouts.rollout import RolloutPolicy
from istio_templates.documents.route import Route
from istio_templates.documents.versions.selection import VersionSelection
from istio_templates.documents.warmup import Warmup


class OutlierDetection(Spec):
    """When a replica that answers with gateway errors is left out, and for how long."""

    consecutive_errors: int = Field(default=5, ge=1, le=1000, strict=True)
    interval: ProxyDuration = "10s"
    ejection_time: ProxyDuration = "30s"
    max_ejection_percent: int = Field(default=50, ge=0, le=100, strict=True)


class LoadBalancing(Spec):
    """How a replica is chosen; `hash` keeps a header's or cookie's value on one replica."""

    policy: Literal["leastRequest", "roundRobin", "hash"] = "leastRequest"
    header: HeaderName | None = None
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None

    @model_validator(mode="after")
    def _hash_key(self) -> "LoadBalancing":
        given = (self.header is not None) + (self.cookie is not None)
        if given != (1 if self.policy == "hash" else 0):
            raise ValueError("policy hash takes exactly one of header and cookie; the other policies take neither")
        return self


MOST = 2**31 - 1
"""The largest number that Istio takes."""


class TrafficPolicy(Spec):
    """Bounds of each gateway pod towards the model, and how it balances."""

    max_connections: int | None = Field(default=None, ge=1, le=MOST, strict=True)
    max_requests: int | None = Field(default=None, ge=1, le=MOST, strict=True)
    max_pending: int | None = Field(default=None, ge=1, le=MOST, strict=True)
    outlier_detection: OutlierDetection = OutlierDetection()
    load_balancing: LoadBalancing = LoadBalancing()


MODEL_CONTAINER = "model"
"""The container of a podTemplate that serves the model; the short fields of a workload are about it."""


class Workload(Spec):
    """Pods that Tidegate renders. Without `replicas` another client (an autoscaler) owns that number.

    With `disruptionBudget: false` Tidegate makes none: Kubernetes evicts no pod that has two. A rollout adds a replica
    before it takes one away (`availability`); where there is no card for one more, `resourceAware` takes one away
    first.
    """

    replicas: Count | None = None
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = None
    command: tuple[TextPassed, ...] = ()
    args: tuple[TextPassed, ...] = ()
    env: EnvVars = ()
    resources: OfKubernetes = {}
    pod_template: OfKubernetes = {}
    disruption_budget: bool = Field(default=True, strict=True)
    capacity_mode: Literal["availability", "resourceAware"] = "availability"
    accept_outage: bool = Field(default=False, strict=True)

    def short_fields(self) -> dict[str, Any]:
        """Return the fields of the container `model` outside podTemplate."""
        lists = {"command": list(self.command), "args": list(self.args), "env": list(self.env)}
        return {"image": self.image, **lists, "resources": self.resources}

    @model_validator(mode="after")
    def _image(self) -> "Workload":
        containers = _containers(self.pod_template)
        if self.image is None and not any(c.get("name") == MODEL_CONTAINER and c.get("image") for c in containers):
            raise ValueError('give image, or podTemplate with an image in its container "model"')
        return self


_PROBES = ("startupProbe", "readinessProbe")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a PodTemplateSpec; `ValueError` where it has not the shape of one."""
    spec, metadata = template.get("spec", {}), template.get("metadata", {})
    if template.keys() - {"metadata", "spec"} or not isinstance(spec, dict) or not isinstance(metadata, dict):
        raise ValueError("podTemplate: give a PodTemplateSpec: metadata and spec, both mappings")
    if not isinstance(metadata.get("labels", {}), dict):
        raise ValueError("podTemplate: metadata.labels is a mapping of names to values")
    if not isinstance(metadata.get("annotations") or {}, dict):
        raise ValueError("podTemplate: metadata.annotations is a mapping of names to texts")
    for field in ("initContainers", "volumes", "readinessGates"):
        found = spec.get(field) or []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ValueError(f"podTemplate: spec.{field} is a list of mappings")
    if not _is_count(spec.get("terminationGracePeriodSeconds", 0)):
        raise ValueError("podTemplate: spec.terminationGracePeriodSeconds is a whole number from 0 on")
    containers = spec.get("containers", [])
    named = isinstance(containers, list) and all(
        isinstance(c, dict) and isinstance(c.get("name"), str) for c in containers
    )
    if not named:
        raise ValueError("podTemplate: spec.containers is a list of containers, each with a name")
    for container in containers:
        if not all(isinstance(container.get(name) or {}, dict) for name in _PROBES):
            raise ValueError(f"podTemplate: the probes of container {container['name']} are mappings")
        if not all(_is_count((container.get(name) or {}).get("initialDelaySeconds", 0)) for name in _PROBES):
            raise ValueError(f"podTemplate: initialDelaySeconds of container {container['name']} is a whole number")
    return list(containers)


class Existing(Spec):
    """Pods that another owner runs, by their labels."""

    labels: Labels = Field(min_length=1)


class Version(Spec):
    """One version of the model: rendered pods (`workload`) or found ones (`existing`).

    With a `rateLimit` of its own it bounds itself, and no longer the whole model. With `autoscale` Tidegate decides how
    many replicas it has.
    """

    name: DnsLabel
    workload: Workload | None = None
    existing: Existing | None = None
    autoscale: VersionAutoscale | None = None
    per_replica_qps: Rate | None = None
    rate_limit: VersionLimit | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Version":
        if (self.workload is None) == (self.existing is None):
            raise ValueError("give exactly one of workload and existing")
        return self

    @model_validator(mode="after")
    def _one_number(self) -> "Version":
        if self.autoscale and self.workload is None:
            raise ValueError("autoscale: needs a workload; who runs existing pods says how many there are")
        if self.autoscale and self.workload and self.workload.replicas is not None:
            raise ValueError(
                f"workload.replicas: {self.workload.replicas} and autoscale both say how many replicas there are; take "
                "workload.replicas out, the replicas that run stay"
            )
        return self

    @model_validator(mode="after")
    def _room_for_a_rollout(self) -> "Version":
        workload = self.workload
        if workload is None or workload.capacity_mode != "resourceAware" or workload.accept_outage:
            return self
        if (self.autoscale.min if self.autoscale else workload.replicas or 1) < 2:
            raise ValueError(
                "workload: capacityMode resourceAware: a rollout takes a replica away before it has another, also the "
                "only one; ask for 2 replicas or more (autoscale: min 2), or say acceptOutage: true"
            )
        return self


class TrafficShare(Spec):
    """The percentage of requests that goes to a version."""

    version: DnsLabel
    weight: int = Field(ge=0, le=100, strict=True)


class ModelSpec(Spec):
    """An algorithm engineer's declaration of a model. With `routes` it is served, with `attachTo` only limited.

    While it is `paused`, its routes answer 503 with the reason that is given here; its replicas stay. A version that
    leaves the document gets no request any more, and its replicas stay for `drain`: requests under way may end, and if
    the change is taken back they are still warm. With a `rollout`, requests come to another version step by step.
    Requests that one of `trafficMatches` takes, the first that fits, come to its version; `traffic` divides the others,
    and with `sticky` each caller stays on one side of it. With `access: public` anyone may call it, whatever the
    tenant's `authentication` says.
    """

    routes: tuple[Route, ...] = Field(default=(), max_length=32)
    attach_to: AttachTo | None = None
    traffic_policy: TrafficPolicy = TrafficPolicy()
    versions: tuple[Version, ...] = Field(min_length=1, max_length=16)
    traffic: tuple[TrafficShare, ...] = Field(min_length=1, max_length=16)
    traffic_matches: tuple[TrafficMatch, ...] = Field(default=(), max_length=MOST_MATCHES)
    sticky: Sticky | None = None
    rollout: RolloutPolicy | None = None
    selection: VersionSelection | None = None
    rate_limit: RateLimit | None = None
    warmup: Warmup = Warmup()
    drain: Duration = "30s"
    access: Literal["public", "tenant"] = "tenant"
    paused: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[ -~]*$")] | None = None

    def figure_of(self, version: Version) -> float | None:
        """Return the requests/s that one replica of a version serves; None where no document says it."""
        return version.per_replica_qps or (self.rate_limit.per_replica_qps if self.rate_limit else None)

    @property
    def target(self) -> str:
        """The version to which it gives the most traffic: with a rollout all of it in the end."""
        return max(self.traffic, key=lambda share: share.weight).version

    @property
    def matched(self) -> frozenset[str]:
        """The versions that a match names."""
        return frozenset(match.version for match in self.traffic_matches)

    @model_validator(mode="after")
    def _preflights(self) -> "ModelSpec":
        """A preflight carries none of the headers of the request that it asks for."""
        plain = {(route.host, route.path): route.cors for route in self.routes if not route.headers}
        for number, route in enumerate(self.routes):
            if route.headers and route.cors and plain.get((route.host, route.path)) != route.cors:
                raise ValueError(
                    f"routes[{number}].cors: browsers send preflights without headers, so none reaches a route that "
                    f"asks for them; add a route for {route.path} without headers and with the same cors"
                )
        return self

    @model_validator(mode="after")
    def _pausable(self) -> "ModelSpec":
        if self.paused is not None and self.attach_to is not None:
            raise ValueError(
                "paused: needs a route that Tidegate renders; with attachTo, close the route where it is written"
            )
        return self

    @model_validator(mode="after")
    def _drained(self) -> "ModelSpec":
        if seconds(self.drain) > 86_400:
            raise ValueError(f"drain {self.drain} is longer than 24h; keep the version in the document for that long")
        return self

    @model_validator(mode="after")
    def _warmed(self) -> "ModelSpec":
        if self.warmup.slow_start and self.traffic_policy.load_balancing.policy == "hash":
            raise ValueError("warmup: slowStart has no effect where a hash chooses the replica; leave one of them out")
        if self.warmup.slow_start and self.attach_to:
            raise ValueError("warmup: slowStart needs a DestinationRule that Tidegate renders; remove it with attachTo")
        if self.warmup.how in ("fixedDelay", "agent") and all(version.existing for version in self.versions):
            raise ValueError(
                f"warmup: mode {self.warmup.how} changes pods, and all versions are existing ones; use gate"
            )
        return self

    @model_validator(mode="after")
    def _served_or_attached(self) -> "ModelSpec":
        if bool(self.routes) == (self.attach_to is not None):
            raise ValueError("give exactly one of routes (at least one) and attachTo")
        if self.attach_to is None:
            return self
        if own := next((version.name for version in self.versions if version.workload), None):
            raise ValueError(f"versions: {own} has a workload; with attachTo all versions are existing ones")
        if self.rate_limit and "closed" in (self.rate_limit.fallback.cold, self.rate_limit.fallback.stale):
            raise ValueError(
                "rateLimit: fallback closed needs a route that Tidegate renders; choose hold or floor with attachTo"
            )
        return self

    @model_validator(mode="after")
    def _own_limits(self) -> "ModelSpec":
        own = next((version.name for version in self.versions if version.rate_limit), None)
        if own is None:
            return self
        if self.rate_limit is None:
            raise ValueError(
                f"versions: {own} has a rateLimit; give the model one too, its perReplicaQps and debounce hold"
            )
        if self.attach_to is not None:
            raise ValueError(f"versions: {own} has a rateLimit; with attachTo its cluster is not known, leave it out")
        if len({route.port for route in self.routes}) > 1:
            raise ValueError(
                f"versions: {own} has a rateLimit; it needs all routes on one port, each has a bucket of its own"
            )
        return self

    @model_validator(mode="after")
    def _wakes_from_zero(self) -> "ModelSpec":
        asleep = next((one.name for one in self.versions if one.autoscale and one.autoscale.min == 0), None)
        if asleep and not (self.rate_limit and self.rate_limit.fallback.cold == "closed"):
            raise ValueError(
                f"versions: autoscale of {asleep} has min 0, which needs rateLimit.fallback.cold: closed: without a "
                "replica the routes answer 503 with retry-after, and these requests wake the first one"
            )
        return self

    @model_validator(mode="after")
    def _traffic_adds_up(self) -> "ModelSpec":
        names = [version.name for version in self.versions]
        if len(set(names)) < len(names):
            raise ValueError("versions: two versions have the same name; each needs its own")
        shares = [share.version for share in self.traffic]
        if len(set(shares)) < len(shares):
            raise ValueError("traffic: a version is listed twice; list it once")
        if unknown := [share for share in shares if share not in names]:
            raise ValueError(f"traffic: {unknown[0]!r} is no version of this model; versions are {', '.join(names)}")
        if (total := sum(share.weight for share in self.traffic)) != 100:
            raise ValueError(f"traffic: the weights sum to {total}; make them sum to 100")
        return self

    @model_validator(mode="after")
    def _matched(self) -> "ModelSpec":
        if self.attach_to is not None and (self.traffic_matches or self.sticky):
            field = "trafficMatches" if self.traffic_matches else "sticky"
            raise ValueError(f"{field}: needs a route that Tidegate renders; with attachTo, write it into that route")
        if self.sticky and self.traffic_policy.load_balancing.policy == "hash":
            raise ValueError(
                "sticky: loadBalancing.policy hash is a second hash of the same requests, and would choose the version "
                "with the replica; leave one of them out"
            )
        scaled = [one for one in self.versions if one.autoscale and one.name in self.matched]
        if asleep := next((one.name for one in scaled if one.autoscale and one.autoscale.min == 0), None):
            raise ValueError(
                f"trafficMatches: autoscale of {asleep} has min 0, and without a replica its requests go by the "
                "weights, so that none would wake it; set min to 1 or more"
            )
        check_matches(self.traffic_matches, [version.name for version in self.versions], self.routes)
        if self.traffic_matches and self.rate_limit and len({route.port for route in self.routes}) > 1:
            raise ValueError(
                "trafficMatches: a version that a match names has a limit of its own, which needs all routes on one "
                "port; each port has a bucket of its own"
            )
        return self

    def _template_problem(self) -> str | None:
        template = self.selection.version_template if self.selection else None
        if template is None:
            return None
        if self.rollout is None:
            return "a choice is carried out by a release; give rollout, an empty one will do"
        like = next((version for version in self.versions if version.name == template.like), None)
        if like is None:
            return f"like: {template.like} is none of versions; name the one whose pods are copied"
        if like.workload is None or like.workload.image is None:
            return f"like: {template.like} has no workload.image, in whose place the chosen one could stand"
        return None

    @model_validator(mode="after")
    def _rolled_out(self) -> "ModelSpec":
        if self.selection is not None and self.attach_to is not None:
            raise ValueError("selection: with attachTo the owner of the route says which version serves; leave it out")
        if problem := self._template_problem():
            raise ValueError(f"selection.versionTemplate: {problem}")
        if self.rollout is None:
            return self
        if self.attach_to is not None:
            raise ValueError(
                "rollout: with attachTo the owner of the route moves the weights, and the limit follows; leave it out"
            )
        if max(share.weight for share in self.traffic) < 100:
            raise ValueError(
                "rollout: traffic names where a rollout ends, so one version has weight 100; steps lead there"
            )
        return self
