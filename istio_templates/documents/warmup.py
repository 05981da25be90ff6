"""Warm-up: which requests a new replica has to answer, and how fast, before it takes any of the tenant's."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from istio_templates.documents.fields import DnsLabel, Duration, HeaderValue, Port, ProxyDuration, Spec, seconds

PLAN_BYTES = 900_000  # of what a plan's file may hold: Kubernetes keeps no ConfigMap beyond 1 MiB
AGENT_IMAGE = "tidegate:0.1.0"  # as in manifests/manager.yaml
Protocol = Literal["oip-rest", "oip-grpc", "tfs-rest", "tfs-grpc", "openai", "http", "grpc"]
Dtype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
Text = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
_ALSO: dict[str, tuple[str, ...]] = {
    "oip-rest": ("model", "version"),
    "oip-grpc": ("model", "version"),
    "tfs-rest": ("model", "version", "signature"),
    "tfs-grpc": ("model", "version", "signature"),
    "openai": ("model", "path"),
    "http": ("path", "method", "readyPath"),
    "grpc": ("method", "descriptors"),
}
_TENSORS = ("oip-rest", "oip-grpc", "tfs-rest", "tfs-grpc")


def _base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is no base64 ({error}); encode the bytes with base64") from error
    return value


Base64 = Annotated[str, AfterValidator(_base64)]


class FileRef(Spec):
    """A key of a ConfigMap in the tenant's namespace."""

    config_map: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class Random(Spec):
    """Evenly distributed numbers from `low` to below `high`, the same for the same `seed`."""

    low: float = Field(default=0, allow_inf_nan=False)
    high: float = Field(default=1, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0, strict=True)

    @model_validator(mode="after")
    def _span(self) -> "Random":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class Nothing(Spec):
    """Takes no settings."""


class Generator(Spec):
    """Where a tensor's elements come from. What is given is repeated until the shape is full."""

    zeros: Nothing | None = None
    ones: Nothing | None = None
    random: Random | None = None
    values: Annotated[list[JsonValue], Field(min_length=1)] | None = None
    b64: Base64 | None = None
    file: FileRef | None = None

    @model_validator(mode="after")
    def _one(self) -> "Generator":
        if len(self.model_fields_set) != 1 or any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("give exactly one of zeros, ones, random, values, b64 and file")
        return self


class Tensor(Spec):
    """One input of a model. Without dtype or shape, the server's own description counts.

    In a shape, -1 in the first place is the batch size; nothing else may be open.
    """

    dtype: Dtype | None = None
    shape: Annotated[tuple[int, ...], Field(max_length=16)] | None = None
    generator: Generator = Generator(zeros=Nothing())

    @model_validator(mode="after")
    def _resolved(self) -> "Tensor":
        for place, size in enumerate(self.shape or ()):
            if size < -1 or size == 0 or (size == -1 and place > 0):
                raise ValueError(
                    f"shape: {list(self.shape or ())} cannot be resolved; only the first place may be -1, "
                    "the batch size, all others are positive"
                )
        return self


class Recorded(Spec):
    """Recorded requests: JSON lines, each a body as the protocol takes it. At most `sample` of them, evenly picked."""

    file: FileRef
    sample: int = Field(default=20, ge=1, le=1000, strict=True)


class Case(Spec):
    """One kind of request. Tensor protocols take `inputs`, the others a `body`; each can replay `recorded` ones."""

    name: DnsLabel
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536, strict=True)], ...], Field(max_length=16)] = (1,)
    inputs: Annotated[dict[Text, Tensor], Field(max_length=64)] | None = None
    body: JsonValue = None
    text: str | None = None
    file: FileRef | None = None
    recorded: Recorded | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Case":
        given = (self.inputs is not None, self.body is not None, self.text is not None, self.file, self.recorded)
        if sum(map(bool, given)) > 1:
            raise ValueError("give at most one of inputs, body, text, file and recorded")
        if len(set(self.batch_sizes)) < len(self.batch_sizes) or not self.batch_sizes:
            raise ValueError("batchSizes: list each size once, and at least one")
        if self.inputs is None and self.batch_sizes != (1,):
            raise ValueError("batchSizes: only inputs have a batch size; leave it out")
        return self


class Target(Spec):
    """Whom the requests go to: what a protocol needs, and nothing that it has no use for.

    `model` is the Model's name where it is left out. `method` is the verb of `http`, and `package.Service/Method` of
    `grpc`, whose `descriptors` (a FileDescriptorSet) may be left to the server's reflection.
    """

    protocol: Protocol
    port: Port
    model: Text | None = None
    version: Text | None = None
    signature: Text | None = None
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)] | None = None
    ready_path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)] | None = None
    method: Text | None = None
    headers: dict[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")], HeaderValue] = {}
    descriptors: FileRef | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Target":
        allowed = _ALSO[self.protocol]
        given = self.model_dump(by_alias=True, exclude_none=True, exclude={"protocol", "port", "headers"})
        if strange := sorted(given.keys() - set(allowed)):
            raise ValueError(f"{strange[0]}: protocol {self.protocol} takes {', '.join(allowed)} only; leave it out")
        if binary := next((name for name in self.headers if name.endswith("-bin")), None):
            raise ValueError(f"headers: {binary} would be binary in gRPC; choose another name")
        if self.version is not None and len(self.version) > 18 and self.protocol.startswith("tfs"):
            raise ValueError("version: TensorFlow Serving's versions are numbers of at most 18 digits")
        if self.protocol == "http" and self.method not in (None, "GET", "POST", "PUT", "PATCH"):
            raise ValueError(f"method: {self.method!r} is not GET, POST, PUT or PATCH")
        if self.protocol == "http" and self.path is None:
            raise ValueError("path: is missing; protocol http needs the path of the requests")
        if self.protocol.startswith("tfs") and self.version is not None and not self.version.isdigit():
            raise ValueError(f"version: TensorFlow Serving's versions are numbers, and {self.version!r} is none")
        if self.protocol == "grpc" and (self.method or "").count("/") != 1:
            raise ValueError("method: protocol grpc needs it as package.Service/Method")
        return self


class NativeReady(Spec):
    """How often the server is asked whether it is ready, before the first case. For how long: the plan's timeout."""

    interval: Duration = "1s"


class Load(Spec):
    """How the requests of a case and batch size are sent; `rate` in requests/s, absent: as fast as they are answered.

    An outside request lands on one worker of a server: with W of them take a concurrency of 2 W and requests enough
    that each is met.
    """

    concurrency: int = Field(default=1, ge=1, le=64, strict=True)
    min_requests: int = Field(default=20, ge=1, le=100_000, strict=True)
    max_requests: int = Field(default=2000, ge=1, le=100_000, strict=True)
    min_duration: Duration = "0s"
    per_request_timeout: Duration = "60s"
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None


class Latency(Spec):
    """The nearest-rank quantile of the window's latencies may be at most `max`; below 100 calls p99 is the slowest."""

    quantile: float = Field(default=0.99, gt=0, le=1, allow_inf_nan=False)
    max: Duration


class SteadyState(Spec):
    """The medians of so many windows in a row differ by at most `tolerance`: the slowest over the fastest, less one."""

    windows: int = Field(default=3, ge=2, le=5, strict=True)
    tolerance: float = Field(default=0.1, gt=0, le=10, allow_inf_nan=False)


class Sanity(Spec):
    """What an answer has to hold: these outputs, finite numbers only, this text."""

    outputs: tuple[Text, ...] = ()
    finite: bool = True
    contains: Annotated[str, Field(min_length=1, max_length=1024)] | None = None


class Success(Spec):
    """When a case and batch size has passed: by its last `window` calls."""

    window: int = Field(default=20, ge=1, le=1000, strict=True)
    latency: Latency
    max_failures: int = Field(default=0, ge=0, strict=True)
    steady_state: SteadyState | None = None
    check: Sanity = Sanity()

    @model_validator(mode="after")
    def _possible(self) -> "Success":
        if self.max_failures >= self.window:
            raise ValueError(
                f"maxFailures: {self.max_failures} of a window of {self.window} lets every replica pass; lower it"
            )
        if not seconds(self.latency.max):
            raise ValueError("latency: no request is answered within 0s; give what counts as warm")
        return self


class WarmupPlanSpec(Spec):
    """Requests that a replica answers before it counts as warm, and what happens to one that does not.

    After `timeout`, or when a case has used up its requests: `hold` keeps it closed and starts over after a pause,
    `admit` opens it all the same, `restart` deletes the pod.
    """

    target: Target
    ready: NativeReady = NativeReady()
    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=64)]
    load: Load = Load()
    success: Success
    timeout: Duration = "30m"
    on_timeout: Literal["hold", "admit", "restart"] = "hold"

    @model_validator(mode="after")
    def _cases(self) -> "WarmupPlanSpec":
        names = [case.name for case in self.cases]
        if len(set(names)) < len(names):
            raise ValueError("cases: two have the same name; each needs its own")
        tensors = self.target.protocol in _TENSORS
        for case in self.cases:
            if case.inputs is not None and not tensors:
                raise ValueError(f"cases: {case.name} has inputs; protocol {self.target.protocol} takes a body")
            if tensors and case.inputs is None and case.recorded is None:
                raise ValueError(f"cases: {case.name} has no inputs; protocol {self.target.protocol} needs them")
        return self

    @model_validator(mode="after")
    def _possible(self) -> "WarmupPlanSpec":
        windows = self.success.steady_state.windows if self.success.steady_state else 1
        needed = max(self.load.min_requests, windows * self.success.window)
        if needed > self.load.max_requests:
            raise ValueError(
                f"load: no case can pass, it needs {needed} requests and maxRequests is {self.load.max_requests}; "
                "raise that or ask for less"
            )
        if not seconds(self.timeout):
            raise ValueError("timeout: 0s ends before anything can be asked; give the time a replica may take")
        if seconds(self.load.min_duration) * self.sizes >= seconds(self.timeout):
            raise ValueError(
                f"load: minDuration {self.load.min_duration} for each of {self.sizes} cases and batch sizes does not "
                f"fit into the timeout of {self.timeout}"
            )
        return self

    @property
    def sizes(self) -> int:
        """Return how many pairs of case and batch size there are."""
        return sum(len(case.batch_sizes) for case in self.cases)

    def files(self) -> set[FileRef]:
        """Return all files that it refers to."""
        found: list[FileRef | None] = [self.target.descriptors]
        for case in self.cases:
            found += [case.file, case.recorded.file if case.recorded else None]
            found += [tensor.generator.file for tensor in (case.inputs or {}).values()]
        return {file for file in found if file}


class PlanRef(Spec):
    """A WarmupPlan in the model's namespace."""

    name: DnsLabel


class SlowStart(Spec):
    """A third stage, in the gateway pods: a replica that is new to them gets its share of requests gradually.

    It begins at `minimumPercent` of it; `aggression` 1 grows evenly, more than 1 faster at first.
    """

    duration: ProxyDuration
    minimum_percent: int = Field(default=10, ge=1, le=100, strict=True)
    aggression: float = Field(default=1, ge=1, le=10, allow_inf_nan=False)

    @model_validator(mode="after")
    def _whole(self) -> "SlowStart":
        if not 1 <= seconds(self.duration) <= 3600:
            raise ValueError(f"duration {self.duration} is not between 1s and 1h")
        return self


class FixedDelay(Spec):
    """How long a replica may take to load, and for how long it is warmed after that."""

    load: Duration = "60s"
    warm: Duration = "30s"


class Warmup(Spec):
    """How a replica proves that it is warm. With a plan and no mode: `gate`.

    `agentImage` is Tidegate's own, where the cluster knows it by another name. `restartDelay` is what the rendered
    readiness probe waits after a container's start. In mode `gate` any manager that runs closes the gate of a container
    that restarts in place within that time. Where only one manager is installed, it has to outlast that one's own
    restart: 20s or more.
    """

    mode: Literal["none", "fixedDelay", "gate", "agent"] | None = None
    plan: WarmupPlanSpec | None = None
    plan_ref: PlanRef | None = None
    fixed_delay: FixedDelay = FixedDelay()
    restart_delay: Duration = "5s"
    slow_start: SlowStart | None = None
    agent_image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] = AGENT_IMAGE

    @model_validator(mode="after")
    def _planned(self) -> "Warmup":
        if self.plan and self.plan_ref:
            raise ValueError("give one of plan and planRef, not both")
        if self.mode in ("gate", "agent") and not (self.plan or self.plan_ref):
            raise ValueError(f"mode {self.mode} needs a plan; give plan or planRef")
        return self

    @property
    def how(self) -> str:
        """Return the mode that holds."""
        return self.mode or ("gate" if self.plan or self.plan_ref else "none")
