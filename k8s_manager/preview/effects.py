"""Effects of a change on what callers may send: limits, modes and the policies behind them, with their grades. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from istio_templates.arms.arm_facts import ArmFacts
from k8s_manager.pipeline.model_plan import Limited
from k8s_manager.pipeline.plan import Plan
from k8s_manager.preview.forecast import ForecastShift
from ratelimiter.debounce import Rules
from ratelimiter.overrides import Override
from ratelimiter.target import Terms

Grade = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What changes for the callers of `subject`, and how bad that is; `is_reason` where it makes a change risky."""

    subject: str
    grade: Grade
    message: str
    is_reason: bool = True


def subject_of(namespace: str, model: str, version: str) -> str:
    """Return how a limit is called: by its model, and its version where it is that one's own."""
    name = f"Model {namespace}/{model}"
    return f"{name}, version {version}" if version else name


def effects(shifts: tuple[ForecastShift, ...], now: Plan, then: Plan) -> Iterator[Effect]:
    """Yield every effect of a change on what callers may send."""
    for shift in shifts:
        is_new = (shift.namespace, shift.model) not in now.models
        for grade, message, is_reason in _of_shift(shift, is_new):
            yield Effect(subject_of(shift.namespace, shift.model, shift.version), grade, message, is_reason)
    for place in sorted(now.models.keys() & then.models.keys()):
        for message in _of_arms(now.models[place].arms, then.models[place].arms):
            yield Effect(subject_of(*place, ""), "medium", message)
    for key in sorted(now.limits.keys() & then.limits.keys()):
        before, after = now.limits[key], then.limits[key]
        if before != after:
            one = after.terms
            for grade, message in _of_policy(before, after):
                subject = subject_of(one.namespace, one.model, one.version)
                yield Effect(subject, grade, message, grade != "low")


def _of_arms(before: tuple[ArmFacts, ...], after: tuple[ArmFacts, ...]) -> Iterator[str]:
    """Yield which requests come to another version, since a match begins, ends or leads elsewhere."""
    for arm in after:
        if arm not in before:
            yield f"requests that match {arm.name} come to version {arm.version}, whatever the weights are"
    for arm in before:
        if arm not in after:
            yield f"requests that matched {arm.name} come no longer to version {arm.version} for that"
    if before != after and set(before) == set(after):
        yield "the matches are looked at in another order, and the first that fits decides"


def _of_shift(shift: ForecastShift, is_new: bool) -> Iterator[tuple[Grade, str, bool]]:
    before, after = shift.before, shift.after
    if before.total is not None and after.total is None:
        yield "high", f"the limit of {_rate(before.total)} is removed", True
    elif before.total is None and after.total is not None and not is_new:
        what = "only counted" if after.enforced == 0 else "answered with 429"
        grade: Grade = "low" if after.enforced == 0 else "medium"
        yield grade, f"a limit of {_rate(after.total)} begins: requests beyond it are {what}", True
    elif before.total is not None and after.total is not None:
        if after.total < before.total:
            fall: Grade = "high" if after.total < before.total / 2 else "medium"
            yield fall, f"the limit falls from {_rate(before.total)} to {_rate(after.total)}", True
        if after.total > before.total:
            yield "low", f"the limit rises from {_rate(before.total)} to {_rate(after.total)}", False
        if after.enforced < before.enforced:
            weaker: Grade = "medium" if after.enforced else "high"
            said = f"it was for {before.enforced} %, mode {after.mode}"
            yield weaker, f"the limit is enforced for {after.enforced} % of the requests ({said})", True
        if after.enforced > before.enforced:
            said = f"the limit is enforced for {after.enforced} % of the requests, it was for {before.enforced} %"
            yield "medium", f"{said}: requests beyond it are answered with 429", True
        if after.burst < before.burst and after.total >= before.total:
            yield "medium", f"the burst of a gateway pod falls from {before.burst} to {after.burst} requests", True
        elif after.burst != before.burst:
            yield "low", f"the burst of a gateway pod is {after.burst} requests, it was {before.burst}", False
    if after.is_closed and not before.is_closed:
        yield "high", "no replica is warm and the fallback is closed: every request is answered with 503", True
    if after.override and not _is_same(after.override, before.override):
        end = after.override.expires.isoformat(timespec="seconds")
        yield "low", f"override {after.override.name} holds until {end}, then the limit is the document's again", False
    if before.override and not after.override:
        yield "low", f"override {before.override.name} ends", False


def _sets(override: Override) -> Override:
    """Return what an override does, without its author and reason."""
    return replace(override, author="", reason="")


def _is_same(one: Override, other: Override | None) -> bool:
    return other is not None and _sets(one) == _sets(other)


def _of_policy(before: Limited, after: Limited) -> Iterator[tuple[Grade, str]]:
    old, new = before.terms, after.terms
    for what, then, now in _policies(old, new):
        if then != now:
            closes = now == "closed"
            yield "medium" if closes else "low", f"{what}: {then} -> {now}"
    if old.pools != new.pools:
        yield "low", f"gateway: {', '.join(old.pools)} -> {', '.join(new.pools)}"
    if list(map(_sets, before.overrides)) != list(map(_sets, after.overrides)):
        names = ", ".join(f"{o.name} until {o.expires.isoformat(timespec='seconds')}" for o in after.overrides)
        yield "low", f"overrides of the model: {names or 'none'}"
    counts = {version.name: version.workload.replicas for version in before.spec.versions if version.workload}
    for version in after.spec.versions if not new.version else ():
        if version.workload and version.name in counts and version.workload.replicas != counts[version.name]:
            wanted, had = version.workload.replicas, counts[version.name]
            falls = wanted is not None and had is not None and wanted < had
            said = f"replicas of version {version.name}: {_text(had)} -> {_text(wanted)}"
            yield "medium" if falls else "low", f"{said}; the limit follows them"


def _policies(old: Terms, new: Terms) -> Iterator[tuple[str, str, str]]:
    """Yield what is declared of a limit, before and after, as texts."""
    for what, read in _READERS.items():
        yield what, read(old), read(new)


def _text(value: Fraction | int | float | None) -> str:
    return "none" if value is None else f"{float(value):g}"


def _rules(rules: Rules) -> str:
    windows = (rules.down, rules.up)
    return ", ".join(f"{window.quiet:g}/{window.longest:g} s" for window in windows)


_READERS: Mapping[str, Callable[[Terms], str]] = {
    "mode": lambda t: t.mode,
    "floor": lambda t: _text(t.bounds.floor),
    "ceiling": lambda t: _text(t.bounds.ceiling),
    "ceiling of the tenant": lambda t: _text(t.tenant_ceiling),
    "weight": lambda t: _text(t.weight),
    "burst": lambda t: f"{_text(t.burst)} s",
    "debounce down, up": lambda t: _rules(t.rules),
    "fallback without a warm replica": lambda t: t.cold,
    "fallback for stale data": lambda t: t.stale,
    "ramp": lambda t: f"{t.ramp:g} s",
    "verdict": lambda t: (
        "none" if t.verdict is None else f"{_text(t.verdict.at_most * 100)} % over {t.verdict.over:g} s"
    ),
}


def _rate(value: Fraction) -> str:
    return f"{float(value):g}/s"


def outlook_line(shift: ForecastShift) -> Mapping[str, float | str | None]:
    """Return a limit before and after a change, with its modes where not both are enforce."""
    totals = {
        when: None if look.total is None else float(look.total)
        for when, look in (("before", shift.before), ("after", shift.after))
    }
    modes = {"modeBefore": shift.before.mode, "modeAfter": shift.after.mode}
    told = any(mode in ("shadow", "ramp") for mode in modes.values())
    return {**totals, **(modes if told else {})}
