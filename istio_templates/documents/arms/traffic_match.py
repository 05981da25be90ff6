"""Matches of a Model: requests that carry a header or a cookie come to one version, before any weight is asked."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from istio_templates.arms.arm_facts import MOST_ARMS, WEIGHTS
from istio_templates.documents.fields import DnsLabel, HeaderName, Spec, brief, distinct_headers, portable_regex, rule
from istio_templates.documents.route import Route

VALUE_MAX = 256
MOST_MATCHES = MOST_ARMS
MOST_RULES = 128
"""Routes of a model times its matches: each is a rule of its VirtualService, beside the weighted ones."""
_COOKIE_NAME = r"[A-Za-z0-9_-]{1,64}"
_COOKIE_VALUE = r"[A-Za-z0-9._~+/=:@-]{1,256}"
# What Python and RE2 read alike; no group options, no counted or possessive repetition, few escapes.
_REGEX = re.compile(r"([A-Za-z0-9:/*+?()|^$._,;=~ \[\]-]|\\[.dw-])+")


def _text(value: str) -> str:
    if not value.isascii() or not value.isprintable() or "%" in value or value != value.strip():
        raise ValueError(
            f"{brief(value)} never comes so in a header; use printable ASCII characters without '%', "
            "no space at either end"
        )
    return value


def _regex(value: str) -> str:
    return portable_regex(value, _REGEX)


_Bounded = Field(json_schema_extra={"minLength": 1}, min_length=1, max_length=VALUE_MAX)


class HeaderTest(Spec):
    """What a header's value is to be: `exact`ly this, with this `prefix`, or one that fits a `regex` as a whole."""

    exact: Annotated[str, _Bounded, AfterValidator(_text)] | None = None
    prefix: Annotated[str, _Bounded, AfterValidator(_text)] | None = None
    regex: Annotated[str, _Bounded, AfterValidator(_regex)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "HeaderTest":
        if len(self.model_fields_set & {"exact", "prefix", "regex"}) != 1:
            raise ValueError("give exactly one of exact, prefix and regex")
        return self

    @property
    def way(self) -> tuple[str, str]:
        """How the value is compared, and with which text."""
        ((how, text),) = self.model_dump(exclude_none=True).items()
        return how, text

    def takes(self, value: str) -> bool:
        """Tell whether a header's value passes."""
        how, text = self.way
        if how == "regex":
            return re.fullmatch(text, value) is not None
        return value == text if how == "exact" else value.startswith(text)

    def covers(self, other: "HeaderTest") -> bool:
        """Tell whether this test surely passes where `other` does. No regex is run for that: Python takes exponential
        time for some, and documents come from tenants."""
        how, text = other.way
        if self == other or (how == "prefix" and self._begins(text)):
            return True
        return how == "exact" and self.regex is None and self.takes(text)

    def _begins(self, text: str) -> bool:
        return self.prefix is not None and text.startswith(self.prefix)


class CookieTest(Spec):
    """A cookie and the value that it has."""

    name: Annotated[str, Field(pattern=f"^{_COOKIE_NAME}$")]
    value: Annotated[str, Field(pattern=f"^{_COOKIE_VALUE}$")]


MOST_TESTS = 4
TestedHeaders = Annotated[
    dict[HeaderName, HeaderTest], Field(min_length=1, max_length=MOST_TESTS), BeforeValidator(distinct_headers)
]


class TrafficMatch(Spec):
    """Requests that pass all tests of `headers`, or carry the `cookie`, come to `version`. `name` is the arm of an
    experiment, in the access log and in statistics; without one it is the version's name."""

    model_config = rule("has(self.headers) != has(self.cookie)", "give exactly one of headers and cookie")

    name: DnsLabel | None = None
    headers: TestedHeaders | None = None
    cookie: CookieTest | None = None
    version: DnsLabel

    @model_validator(mode="after")
    def _one_source(self) -> "TrafficMatch":
        if (self.headers is None) == (self.cookie is None):
            raise ValueError("give exactly one of headers and cookie")
        if self.headers and "cookie" in self.headers:
            raise ValueError("headers: cookies stand in one header in any order; test one with cookie: {name, value}")
        return self

    @property
    def arm(self) -> str:
        """The name that requests of this match have in the access log."""
        return self.name or self.version

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request with some headers (names in lower case) is one of this match's."""
        if self.cookie:
            cookies = [text.strip() for text in headers.get("cookie", "").split(";")]
            return f"{self.cookie.name}={self.cookie.value}" in cookies
        return all(name in headers and test.takes(headers[name]) for name, test in (self.headers or {}).items())

    def covers(self, other: "TrafficMatch") -> bool:
        """Tell whether each request that `other` takes is taken by this match."""
        if self.cookie or other.cookie:
            return self.cookie == other.cookie
        assert self.headers is not None and other.headers is not None
        asked = other.headers
        return all(name in asked and test.covers(asked[name]) for name, test in self.headers.items())


def check_matches(matches: Sequence[TrafficMatch], versions: Sequence[str], routes: Sequence[Route]) -> None:
    """Raise `ValueError` where matches of a model cannot be, or can never take a request."""
    if len(matches) * len(routes) > MOST_RULES:
        raise ValueError(
            f"trafficMatches: {len(matches)} matches on {len(routes)} routes are more than {MOST_RULES} rules; "
            "leave out matches or routes"
        )
    for number, match in enumerate(matches):
        place = f"trafficMatches[{number}]"
        if match.version not in versions:
            raise ValueError(
                f"{place}.version: {match.version!r} is no version of this model; versions are {', '.join(versions)}"
            )
        if match.arm == WEIGHTS:
            raise ValueError(
                f"{place}.name: {WEIGHTS!r} stands for requests that the weights divide; give the match another name"
            )
        for earlier, other in enumerate(matches[:number]):
            if other.covers(match):
                raise ValueError(
                    f"{place}: trafficMatches[{earlier}] takes each of its requests before it; remove it, or put the "
                    "narrower one first"
                )
            if other.arm == match.arm and other.version != match.version:
                raise ValueError(
                    f"{place}.name: {match.arm} is version {other.version} in trafficMatches[{earlier}]; an arm is "
                    "one version, give it another name"
                )
        _check_routes(place, match, routes)


def _check_routes(place: str, match: TrafficMatch, routes: Sequence[Route]) -> None:
    names = {*(match.headers or ()), *(["cookie"] if match.cookie else [])}
    for number, route in enumerate(routes):
        if shared := sorted(names & route.headers.keys()):
            raise ValueError(
                f"{place}: routes[{number}] asks for header {shared[0]} itself; use another header, or take it out of "
                "the route"
            )
