"""A signal of an autoscaled version: what is looked at, and what of it one replica should carry.

The form of `target` depends on the signal: a share such as `80%`, a duration such as `80ms`, or a number.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from istio_templates.documents.fields import Spec, brief, seconds

SignalKind = Literal["demand", "concurrency", "cpu", "memory", "gpu", "gpuMemory", "latency", "queue", "prometheus"]
KINDS: Mapping[str, SignalKind] = {kind: kind for kind in get_args(SignalKind)}
GUARDS: frozenset[SignalKind] = frozenset({"demand", "concurrency", "cpu", "gpu", "queue"})
"""Signals that may not be averaged away, unless the document says otherwise."""
MOST_QUERY = 2000
"""Characters of a query to Prometheus."""
QUANTILE = 0.95
_SHARE = r"[0-9]{1,4}(\.[0-9]{1,3})?%"
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,62}"
_DEMAND = "80%"
_MOST_SHARES: Mapping[SignalKind, float] = {"demand": 1, "cpu": 10, "memory": 1, "gpu": 1, "gpuMemory": 1}
_QUERIED: frozenset[SignalKind] = frozenset({"queue", "prometheus"})
_SHORTEST, _LONGEST = 0.001, 3600
_MOST = 1e9


def _share(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(_SHARE, value) or share(value) == 0:
        raise ValueError(f"{brief(value)} is no share above nothing; write a string such as 80%")
    return value


Share = Annotated[str, BeforeValidator(_share), WithJsonSchema({"type": "string", "pattern": f"^{_SHARE}$"})]


def share(text: str) -> float:
    """Return the share in a text such as `80%`, as a figure: 0.8."""
    return float(text.removesuffix("%")) / 100


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise ValueError(
            f"{brief(value)} is no name of a signal; use letters, digits, '-' and '_', at most 63, a letter first"
        )
    return value


def _target(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{brief(value)} is no target; write a share such as 80%, a duration such as 80ms or a number")
    return value


def _query(value: str) -> str:
    if not value.strip() or len(value) > MOST_QUERY or not all(one.isprintable() or one in "\n\t" for one in value):
        raise ValueError(f"{brief(value)} is no query; write PromQL of at most {MOST_QUERY} characters")
    return value


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": f"^{_NAME}$", "maxLength": 63})]
Query = Annotated[str, AfterValidator(_query), Field(json_schema_extra={"minLength": 1, "maxLength": MOST_QUERY})]
Target = Annotated[
    str | int | float, BeforeValidator(_target), WithJsonSchema({"oneOf": [{"type": "string"}, {"type": "number"}]})
]


class Signal(Spec):
    """What replicas follow: `demand`, `concurrency`, `cpu`, `memory`, `gpu`, `gpuMemory` or `latency` (at a
    `quantile`), `queue` by a `prometheus` query, or any other name with such a query.

    `target` is what one warm replica should carry, or their mean: a share (`80%`), a duration (`80ms`) or a number.
    `weight` is its part of the mean; a `guard` counts beside the mean, so that others never average it away.
    """

    name: Name
    target: Target | None = None
    quantile: float | None = Field(default=None, ge=0.5, le=0.99)
    prometheus: Query | None = None
    weight: float | None = Field(default=None, ge=0, le=1)
    guard: bool | None = Field(default=None, strict=True)

    @property
    def kind(self) -> SignalKind:
        """What is read: by its name, and `prometheus` for every other name."""
        return KINDS.get(self.name, "prometheus")

    @property
    def is_guard(self) -> bool:
        """Whether it counts beside the mean."""
        return self.kind in GUARDS if self.guard is None else self.guard

    @property
    def figure(self) -> float:
        """The target in the signal's unit: a share as a figure, seconds, or a number."""
        target = _DEMAND if self.target is None else self.target
        return _READ[self.kind](target)

    @model_validator(mode="after")
    def _fits(self) -> "Signal":
        if flaws := [*_query_flaws(self), *_target_flaws(self), *_count_flaws(self)]:
            raise ValueError("; ".join(flaws))
        return self


def _query_flaws(signal: Signal) -> Iterator[str]:
    if signal.prometheus is not None:
        if signal.kind not in _QUERIED:
            yield f"prometheus: {signal.name} has a source of its own; take the query out, or give another name"
    elif signal.name not in KINDS:
        known = ", ".join(KINDS)
        yield f"name: {signal.name} is no signal without a prometheus query; write one, or one of {known}"
    elif signal.kind in _QUERIED:
        yield f"prometheus: {signal.name} needs a query; write the PromQL that counts it over all replicas"


def _target_flaws(signal: Signal) -> Iterator[str]:
    if signal.target is None and signal.kind != "demand":
        yield f"target: {signal.name} needs one, such as {_EXAMPLES.get(signal.kind, '70%')}"
        return
    try:
        _ = signal.figure
    except ValueError as error:
        yield f"target: {error}"


def _count_flaws(signal: Signal) -> Iterator[str]:
    if signal.quantile is not None and signal.kind != "latency":
        yield f"quantile: only latency has one; take it out of {signal.name}"
    if signal.weight is None and not signal.is_guard:
        yield f"weight: {signal.name} counts for nothing; give it a weight or guard: true (weight: 0 only shows it)"


def _share_of(kind: SignalKind) -> Callable[[Any], float]:
    most = _MOST_SHARES[kind]

    def read(target: Any) -> float:
        found = share(_share(target))
        if found > most:
            raise ValueError(f"{target} is beyond what {kind} can be held at; write at most {most * 100:g}%")
        return found

    return read


def _seconds_of(target: Any) -> float:
    if not isinstance(target, str):
        raise ValueError(f"{brief(target)} is no duration; write a string with its unit, such as 80ms or 1.5s")
    found = float(seconds(target))
    if not _SHORTEST <= found <= _LONGEST:
        raise ValueError(f"{brief(target)} is not between 1ms and 1h")
    return found


def _number_of(target: Any) -> float:
    if not isinstance(target, int | float) or not 0 < target <= _MOST:  # no NaN is
        raise ValueError(f"{brief(target)} is no number above 0; write what one replica should carry, such as 5")
    return float(target)


_EXAMPLES: Mapping[SignalKind, str] = {"latency": "80ms", "concurrency": "5", "queue": "5", "prometheus": "5"}
_READ: Mapping[SignalKind, Callable[[Any], float]] = {
    **{kind: _share_of(kind) for kind in _MOST_SHARES},
    "latency": _seconds_of,
    "concurrency": _number_of,
    "queue": _number_of,
    "prometheus": _number_of,
}
