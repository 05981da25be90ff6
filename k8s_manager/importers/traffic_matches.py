"""Rules that take part of the requests of the one with the weights, as `trafficMatches` of a Model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from istio_templates.arms.arm_facts import MOST_ARMS, WEIGHTS
from istio_templates.arms.arm_rules import arm_of
from istio_templates.documents.arms.traffic_match import TrafficMatch, check_matches
from istio_templates.facts import Manifest
from k8s_manager.importers.cluster_objects import items
from k8s_manager.importers.narrow_rules import NarrowedRule, Narrowing, split_of
from k8s_manager.importers.proposal import Proposal, label_of
from k8s_manager.importers.split_reader import Destination

_OF_RULES = ("match", "route", "name")
_LETTER = r"(?:\\.|[\w~/=:@+-])"
_COOKIE = re.compile(
    r"\^?\(\??:?(?:\^\|)?\.\*\??(?:;|; |; \?|;\\s\*|;\.)?(?:\|\^)?\)\??"
    rf"\(?((?:\\.|[\w-])+)=({_LETTER}+?)\)?"
    r"\((?:\?:)?;\.\*\)\?\$?"
)
"""What people write to find one cookie among others: `^(.*?;)?(NAME=VALUE)(;.*)?$`, and what Tidegate writes."""


def brings_to(rule: Manifest) -> Destination | None:
    """Return where a rule sends its requests; None where that is not one place."""
    places = [place for place, weight in split_of(rule).items() if weight]
    return places[0] if len(places) == 1 else None


def cookie_of(test: Manifest) -> Manifest | None:
    """Return the cookie that a test of the header `cookie` is about; None where it is about more, or less."""
    if isinstance(said := test.get("exact"), str) and said.count("=") == 1 and ";" not in said:
        name, _, value = said.partition("=")
        return {"name": name, "value": value}
    found = _COOKIE.fullmatch(str(test.get("regex", "")))
    return {"name": _plain(found[1]), "value": _plain(found[2])} if found else None


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


@dataclass(slots=True)
class MatchReader:
    """Reads the matches of one VirtualService; `names` are those of the versions behind its destinations. What cannot
    be said is noted."""

    service: Manifest
    rules: Sequence[Manifest]
    names: Mapping[Destination, str]
    proposal: Proposal
    found: list[TrafficMatch] = field(default_factory=list)
    bases: list[tuple[str, set[int]]] = field(default_factory=list)
    """Where each match was first read, and the numbers of the rules whose requests it took."""

    def read(self, narrowed: Sequence[NarrowedRule], tested_by_routes: frozenset[str]) -> list[Manifest]:
        """Return the matches that can be expressed, in order; `tested_by_routes` are headers that a route asks for."""
        narrow = {rule.number for rule in narrowed}
        weighted = {number for number, rule in enumerate(self.rules) if number not in narrow and split_of(rule)}
        for rule in narrowed:
            place = f"spec.http[{rule.number}]"
            destination = brings_to(self.rules[rule.number])
            if destination is None:
                self._note(place, "is not expressed: it divides its requests; a match brings them to one version")
                continue
            self._leave_out(place, rule)
            for asked in rule.asked:
                self._add(f"{place}.match[{asked.order}]", rule, asked, self.names[destination], tested_by_routes)
        for place, bases in self.bases:
            if weighted - bases:
                self._note(place, "took requests of some routes alone; a match takes those of all routes of a model")
        return [match.model_dump(mode="json", by_alias=True, exclude_none=True) for match in self.found]

    def _leave_out(self, place: str, rule: NarrowedRule) -> None:
        """Note what a rule does differently besides the version."""
        own, base = self.rules[rule.number], self.rules[rule.bases[0]]
        for name in sorted(str(name) for name in {*own, *base} - set(_OF_RULES) if own.get(name) != base.get(name)):
            self._note(f"{place}.{name}", "is not expressed: a match decides for a version and for nothing else")
        for order, target in enumerate(items(own, "route")):
            self.proposal.leave_out(self.service, f"{place}.route[{order}]", target, ("destination", "weight"))

    def _add(self, place: str, rule: NarrowedRule, asked: Narrowing, version: str, taken: frozenset[str]) -> None:
        match = self._match(place, asked)
        if match is None:
            return
        if shared := sorted({name.lower() for name in asked.headers} & taken):
            self._note(place, f"is not expressed: a route asks for header {shared[0]} itself")
            return
        said = str(self.rules[rule.number].get("name") or "")
        name = arm_of(said) or label_of(said)
        match |= {"version": version, **({"name": name} if name and name != WEIGHTS else {})}
        try:
            read = TrafficMatch.model_validate(match)
            if read in self.found:
                self.bases[self.found.index(read)][1].update(rule.bases)
                return
            check_matches([*self.found, read], list(self.names.values()), ())
        except ValidationError as error:
            self._note(place, f"is not expressed: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
        except ValueError as error:
            self._note(place, f"is not expressed: {str(error).partition(': ')[2]}")
        else:
            self._keep(place, rule, asked, read)

    def _keep(self, place: str, rule: NarrowedRule, asked: Narrowing, match: TrafficMatch) -> None:
        if len(self.found) >= MOST_ARMS:
            self._note(place, f"is not expressed: a model has at most {MOST_ARMS} matches")
            return
        if asked.is_broader:
            self._note(place, "took requests of all paths; a match takes those of the model's routes")
        if match.cookie and "exact" in next(iter(asked.headers.values())):
            self._note(place, "asked for this cookie alone; a match takes it among others too")
        self.found.append(match)
        self.bases.append((place, set(rule.bases)))

    def _match(self, place: str, asked: Narrowing) -> Manifest | None:
        """Return headers or cookie of a match; None where it asks for what no document can say."""
        tests = {name.lower(): test if isinstance(test, dict) else {} for name, test in asked.headers.items()}
        if asked.others:
            said = f"{', '.join(asked.others)} (a match asks for headers or one cookie)"
        elif "cookie" not in tests:
            return {"headers": {name: test or {"regex": ".*"} for name, test in tests.items()}}
        elif len(tests) > 1:
            said = "it asks for cookie and other headers (a match asks for headers or one cookie)"
        elif cookie := cookie_of(tests["cookie"]):
            return {"cookie": cookie}
        else:
            said = "headers.cookie (a match knows one cookie by its name and value)"
        self._note(place, f"is not expressed: {said}")
        return None

    def _note(self, place: str, said: str) -> None:
        self.proposal.note(self.service, place, said)
