"""A limit that gateway pods enforce from a moment on: found in the controller's state, counted and published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from istio_templates import names
from istio_templates.facts import Bucket, LimitKey
from k8s_manager.limits.override_text import listed, override_sentence
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import LIMIT, REACTION
from ratelimiter import debounce
from ratelimiter.controller import Entry, LimitState, LimitTarget, Observation
from ratelimiter.overrides import Override


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A limit on one gateway, its new bucket, and when that was due (None: nothing waited for it)."""

    entry: Entry
    target: LimitTarget
    bucket: Bucket
    due: float | None

    @property
    def total(self) -> Fraction:
        """The new limit over all gateway pods, in requests per second."""
        return self.bucket.rate * max(self.target.target.gateways, 1)


def limit_changes(seen: Observation, before: LimitState, after: LimitState) -> Iterator[LimitChange]:
    """Yield the limits that are enforced since `after`; what only counts requests is none."""
    for entry, limit in after.limits.items():
        earlier = before.limits[entry]
        if limit.written is None or limit.written == earlier.written:
            continue
        if entry[1].part != names.REQUESTS:
            target = seen.targets[entry[1]]
            yield LimitChange(entry, target, limit.written, debounce.due_at(earlier, target.terms.rules))


def announce_overrides(before: Mapping[LimitKey, Override], after: Mapping[LimitKey, Override], events: Events) -> None:
    """Publish which overrides are in force for which models now, and which no longer are."""
    begun: dict[tuple[Override, Override | None], list[str]] = {}
    ended: dict[Override, list[str]] = {}
    for identity in sorted(before.keys() | after.keys()):
        old, new, place = before.get(identity), after.get(identity), "/".join(identity.place)
        if identity.part or old == new:
            continue
        if new:
            begun.setdefault((new, old), []).append(place)
        elif old:
            ended.setdefault(old, []).append(place)
    for (override, replaced), places in begun.items():
        instead = f", in place of {replaced.name} ({override_sentence(replaced)})" if replaced else ""
        said = f"override is in force for {listed(places)}: {override_sentence(override)}{instead}"
        events.publish("override", override.name, said)
    for override, places in ended.items():
        events.publish("override", override.name, f"override is no longer in force for {listed(places)}")


def announce(change: LimitChange, events: Events, at: float, override: Override | None = None) -> None:
    """Count a change that arrived `at` a moment, and publish it with why the limit is that; `override` is the one in
    force."""
    if change.due is not None:
        REACTION.observe(max(0.0, at - change.due))
    terms, total, share = change.target.terms, float(change.total), change.bucket.enforced
    LIMIT.labels(terms.namespace, terms.model, terms.version).set(total)
    of = f" of version {terms.version}" if terms.version else ""
    said = f"limit{of} is {total:g}/s over {change.target.target.gateways} gateway pods"
    said += (
        "" if share == 100 else f", enforced for {share} % of the requests" if share else ", counted only: in shadow"
    )
    why = _why(change.target, override)
    subject, said = f"{terms.namespace}/{terms.model}", f"{said}: {why}"
    events.publish("limit", subject, said, total=total, gateway=change.entry[0], enforced=share, why=why)


def _why(target: LimitTarget, override: Override | None) -> str:
    """Return in words what a limit comes from."""
    found = target.target.total
    warm = sum(load.replicas for load in target.target.loads)
    serve = f"{warm} warm {'replica serves' if warm == 1 else 'replicas serve'} {float(found.capacity):g}/s"
    if override is not None and found.reason in ("Override", "Frozen"):
        return f"override {override_sentence(override)}"
    return {
        "Capacity": serve,
        "Floor": f"{serve}, and its floor is more",
        "Ceiling": f"{serve}, and its ceiling is less",
        "TenantCeiling": f"{serve}, and the tenant's ceiling leaves less",
        "Cold": "no replica is warm",
        "Stale": "the count of replicas is too old to be followed",
        "Override": "an override sets it",
        "Frozen": "an override keeps it",
    }[found.reason]
