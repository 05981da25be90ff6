"""Rules of a VirtualService that take part of the requests of a later one, by headers or by what else they ask for.

Istio takes the first rule that fits. A rule that asks for all that a later one asks for and for more, and that divides
requests differently, is an arm of an experiment: what is later has the weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from istio_templates.facts import Manifest
from k8s_manager.importers.cluster_objects import items, part
from k8s_manager.importers.split_reader import Split

_OF_ROUTES = ("uri", "headers", "name")


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a match of one rule asks for beside what the rule with the weights asks for: `headers`, and `others` that no
    document can say; `is_broader` where it takes all paths. `order` is its place in the rule's list."""

    order: int
    headers: Manifest
    others: tuple[str, ...]
    is_broader: bool


@dataclass(frozen=True, slots=True)
class NarrowedRule:
    """A rule by its number, the numbers of the rules whose requests it takes, and what it asks for."""

    number: int
    bases: tuple[int, ...]
    asked: tuple[Narrowing, ...]


def split_of(http: Manifest) -> Split:
    """Return how a rule divides its requests; empty where it goes nowhere."""
    weights: Split = {}
    targets = items(http, "route")
    for target in targets:
        destination = part(target, "destination")
        place = (str(destination.get("host", "")), str(destination.get("subset") or ""))
        weight = target.get("weight", 100 if len(targets) == 1 else 0)
        weights[place] = weights.get(place, Fraction(0)) + Fraction(weight if isinstance(weight, int) else 0)
    return weights if sum(weights.values()) > 0 else {}


def narrowed_rules(rules: Sequence[Manifest]) -> list[NarrowedRule]:
    """Return the rules that take requests of later ones, in order."""
    found: list[NarrowedRule] = []
    for number, rule in reversed(list(enumerate(rules))):
        taken = {one.number for one in found}
        later = [other for other in range(number + 1, len(rules)) if other not in taken]
        bases = {other: list(_narrowings(rule, rules[other])) for other in later if _takes_from(rule, rules[other])}
        if bases:
            asked = dict.fromkeys(one.order for narrowings in bases.values() for one in narrowings)
            first = {one.order: one for narrowings in bases.values() for one in reversed(narrowings)}
            found.append(NarrowedRule(number, tuple(bases), tuple(first[order] for order in sorted(asked))))
    return found[::-1]


def _takes_from(rule: Manifest, other: Manifest) -> bool:
    """Tell whether a rule takes part of the requests of each match of another, and takes them elsewhere."""
    splits = split_of(rule), split_of(other)
    if not all(splits) or _shares(splits[0]) == _shares(splits[1]):
        return False
    return all(any(_narrowing(0, match, base) for match in _matches(rule)) for base in _matches(other))


def _narrowings(rule: Manifest, other: Manifest) -> Iterator[Narrowing]:
    for order, match in enumerate(_matches(rule)):
        found = [one for base in _matches(other) if (one := _narrowing(order, match, base))]
        yield from found[:1]


def _narrowing(order: int, match: Manifest, base: Manifest) -> Narrowing | None:
    """Return what a match asks for beside what another asks for; None where it does not ask for all of that, or for
    nothing more."""
    uri, base_uri = part(match, "uri"), part(base, "uri")
    headers, base_headers = part(match, "headers"), part(base, "headers")
    others = {name for name in match if name not in _OF_ROUTES}
    if (uri and uri != base_uri) or any(headers.get(name) != test for name, test in base_headers.items()):
        return None
    if any(match.get(name) != base[name] for name in base if name not in _OF_ROUTES):
        return None
    more = {name: test for name, test in headers.items() if name not in base_headers}
    odd = tuple(sorted(str(name) for name in others if name not in base))
    return Narrowing(order, more, odd, bool(base_uri) and not uri) if more or odd else None


def _matches(rule: Manifest) -> list[Manifest]:
    return items(rule, "match") or [{}]


def _shares(split: Split) -> dict[tuple[str, str], Fraction]:
    whole = sum(split.values())
    return {place: weight / whole for place, weight in split.items() if weight}
