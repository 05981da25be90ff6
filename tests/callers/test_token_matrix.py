"""Every kind of token at every kind of route, at real Envoys: the right answer, and no request without a right reaches
a model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from istio_templates import names
from istio_templates.callers.access_facts import IssuerFacts
from istio_templates.callers.refusals import REFUSALS
from tests.callers.rig import (
    ADS,
    CALLERS,
    CHAT,
    DELEGATED,
    GUEST,
    MODELS,
    OPEN,
    OPTIONAL,
    OTHER,
    OWN,
    PLACES,
    PUBLIC,
    SEARCH,
    SOME,
    Place,
    plan_of_all,
)
from tests.support.callers import (
    HOST,
    NOW,
    Answer,
    CheckedGateway,
    Signer,
    access_of,
    bearer,
    checked_gateway,
    planned,
    with_access,
)
from tests.support.documents import gateway, model, tenant
from tests.support.envoy import ENVOYS

pytestmark = pytest.mark.xdist_group("envoy")
TOKEN = SEARCH.token
MALFORMED = ("garbage", "16 KB", "tampered head", "empty", "alg none", "a caller that is a list")


class Case(NamedTuple):
    """What a client sends, why the tenant `search` refuses that (empty: it takes it), and at which model."""

    headers: Mapping[str, str]
    refused: str = ""
    place: Place = OWN


CASES = {
    "none": Case({}, "missing"),
    "good": Case(bearer(TOKEN())),
    "lower-case scheme": Case({"authorization": f"bearer {TOKEN()}"}),
    "upper-case scheme": Case({"authorization": f"BEARER {TOKEN()}"}),
    "in api-key": Case({"api-key": TOKEN()}),
    "in a configured header": Case({"x-key": TOKEN()}),
    "of basic authentication": Case({"authorization": "Basic YTpi"}, "missing"),
    "in the query only": Case({"x-other": TOKEN()}, "missing"),
    "several audiences": Case(bearer(TOKEN(aud=["other", "search"]))),
    "expired": Case(bearer(TOKEN(exp=NOW - 3600)), "expired"),
    "expired two minutes ago": Case(bearer(TOKEN(exp=NOW - 120)), "expired"),
    "without an expiration": Case(bearer(TOKEN(exp=None)), "unverifiable"),
    "not yet valid": Case(bearer(TOKEN(nbf=NOW + 3600)), "early"),
    "of a clock half a minute ahead": Case(bearer(TOKEN(nbf=NOW + 30))),
    "wrong audience": Case(bearer(TOKEN(aud="ads")), "audience"),
    "no audience": Case(bearer(TOKEN(aud=None)), "audience"),
    "wrong issuer": Case(bearer(TOKEN(iss="https://else.example.com")), "issuer"),
    "no issuer": Case(bearer(TOKEN(iss=None)), "issuer"),
    "another tenant's": Case(bearer(GUEST.token()), "issuer"),
    "another tenant's under this issuer": Case(
        bearer(GUEST.token(iss=SEARCH.issuer, aud=SEARCH.audience)), "unverifiable"
    ),
    "revoked": Case(bearer(TOKEN(jti="bad-id")), "revoked"),
    "without an id": Case(bearer(TOKEN(jti=None))),
    "alg none": Case(bearer(SEARCH.unsigned()), "unverifiable"),
    "HS256 of the public key": Case(bearer(SEARCH.confused()), "unverifiable"),
    "tampered": Case(bearer(TOKEN()[:-8] + "AAAAAAAA"), "unverifiable"),
    "tampered head": Case(bearer("A" + TOKEN()), "unverifiable"),
    "garbage": Case(bearer("x"), "unverifiable"),
    "empty": Case(bearer("."), "unverifiable"),
    "16 KB": Case(bearer("a" * 16_384), "unverifiable"),
    "two": Case({**bearer(TOKEN()), "api-key": TOKEN(jti="id-2")}, "several"),
    "two of two callers": Case({**bearer(TOKEN()), "api-key": TOKEN(sub="app2", jti="id-2")}, "several"),
    "two without ids": Case({**bearer(TOKEN(jti=None)), "api-key": TOKEN(jti=None)}, "unknown"),
    "a revoked one beside one without a caller": Case(
        {**bearer(TOKEN(jti="bad-id")), "api-key": TOKEN(sub=None, jti="id-2")}, "several"
    ),
    "a good and a bad one": Case({**bearer(TOKEN()), "api-key": "x"}, "unverifiable"),
    "a good and another tenant's": Case({**bearer(TOKEN()), "x-key": GUEST.token()}, "issuer"),
    "suspended": Case(bearer(TOKEN(sub="app3")), "suspended"),
    "caller expired": Case(bearer(TOKEN(sub="app4")), "expired"),
    "unknown caller": Case(bearer(TOKEN(sub="ghost")), "unknown"),
    "no caller": Case(bearer(TOKEN(sub=None)), "unverified"),
    "a caller that is a list": Case(bearer(TOKEN(sub=["app1"])), "unverifiable"),
    "a caller in another case": Case(bearer(TOKEN(sub="APP1")), "unknown"),
    "a caller with control characters": Case(bearer(TOKEN(sub="app1\r\nx-admin: 1")), "unknown"),
    "a caller with a zero": Case(bearer(TOKEN(sub="app1\0")), "unknown"),
    "a caller of 10 KB": Case(bearer(TOKEN(sub="a" * 10_000)), "unknown"),
    "of a caller of another model": Case(bearer(TOKEN(sub="app2")), "model"),
    "of a caller of this model": Case(bearer(TOKEN(sub="app2")), "", SOME),
    "forged": Case({"x-tidegate-caller": "app1", "x-tidegate-caller-3": "app1"}, "missing"),
    "forged beside a good one": Case({**bearer(TOKEN()), "x-tidegate-caller": "app2", "x_tidegate_caller": "app2"}),
}


def is_refused(case: str, place: Place) -> str:
    """Return why a place refuses what a case sends; empty where it takes it."""
    sent = CASES[case]
    if place in (PUBLIC, OPEN):
        return ""
    if place in (DELEGATED, OTHER, OPTIONAL):
        return is_refused_elsewhere(case, place)
    if case.startswith("of a caller of"):
        return "" if place is SOME else "model"
    return sent.refused


def is_refused_elsewhere(case: str, place: Place) -> str:
    """Return why a tenant with another issuer refuses a case: it looks at the issuer of the last token first."""
    sent = CASES[case]
    if sent.refused == "missing" or case == "in a configured header":
        return "" if place is OPTIONAL else "missing"
    if case in MALFORMED:
        return "unverifiable"
    if case in ("another tenant's", "a good and another tenant's") and place is not OPTIONAL:
        return "" if case == "another tenant's" else "issuer"
    return "issuer"


def assert_refused(answer: Answer, reason: str, what: str) -> None:
    refusal = [one for one in REFUSALS if one.reason == reason]
    assert answer.status in {one.status for one in refusal}, what
    body = json.loads(answer.body)
    found = body.get("error", body)
    assert found["message"] in {one.message for one in refusal}, what
    errors = {
        f'Bearer realm="tidegate", error="{one.error}"' if one.error else 'Bearer realm="tidegate"' for one in refusal
    }
    assert answer.challenge in errors, what


@pytest.mark.parametrize("version", ENVOYS)
async def test_each_token_at_each_route_gets_the_right_answer(version: str, tmp_path: Path):
    more = {"search": {"headers": ("x-key",)}}
    async with checked_gateway(tmp_path, *MODELS, binary=ENVOYS[version]) as found:
        await found.load(plan_of_all(**more))
        for case, sent in CASES.items():
            for place in PLACES:
                await check(found, case, sent.headers, place, is_refused(case, place))


async def check(found: CheckedGateway, case: str, headers: Mapping[str, str], place: Place, refused: str) -> None:
    """Send a request, and see that it is answered as it should be and reaches its model, or none."""
    before = found.models.reached.copy()
    answer = await found.ask(place.host, place.path, headers)
    what = f"{case} at {place.model}: {answer}"
    reached = found.models.reached - before
    if refused:
        assert not reached, what
        assert_refused(answer, refused, what)
        return
    assert answer.status == 200 and dict(reached) == {place.model: 1}, what
    checked = place not in (PUBLIC, OPEN)
    seen = {
        name: value for name, value in found.models.headers.items() if name.replace("_", "-").startswith("x-tidegate")
    }
    carries = bool(headers.keys() & {"authorization", "api-key", "x-key"})
    if not checked or (place is OPTIONAL and not carries) or case == "of basic authentication":
        assert not seen, what
    elif place is not OPTIONAL:
        assert seen == {"x-tidegate-caller": "app2" if "of a caller of" in case else "app1"}, what
        assert not found.models.headers.keys() & {"authorization", "api-key", "x-key"}, what


@pytest.mark.parametrize("version", ENVOYS)
async def test_tenants_take_their_own_tokens(version: str, tmp_path: Path):
    async with checked_gateway(tmp_path, *MODELS, binary=ENVOYS[version]) as found:
        await found.load(plan_of_all())
        for signer, places in ((SEARCH, (OWN, CHAT)), (GUEST, (DELEGATED, OTHER)), (ADS, (OPTIONAL,))):
            for place in places:
                answer = await found.ask(place.host, place.path, bearer(signer.token()))
                assert answer.status == 200 and found.models.headers["x-tidegate-caller"] == "app1", place
                for caller in ("ghost", "app1\r\nx-admin: 1", "app1\0", "app1 ", "é", "a" * 10_000):
                    stranger = await found.ask(place.host, place.path, bearer(signer.token(sub=caller)))
                    assert_refused(stranger, "unknown", f"{caller} at {place}")
        assert sum(found.models.reached.values()) == 5


def of_one_slot() -> tuple[str, str]:
    """Return the names of two tenants that fall into one access slot."""
    first, *others = (f"team-{number}" for number in range(100))
    return first, next(name for name in others if names.access_slot(name) == names.access_slot(first))


@pytest.mark.parametrize("version", ENVOYS)
async def test_tenants_of_one_access_slot_and_one_issuer_take_their_own_audience_only(version: str, tmp_path: Path):
    shared, pair = Signer("https://login.example.com", "unused"), of_one_slot()
    bare = planned([gateway(), *map(tenant, pair), *(model("m", name) for name in pair)])
    issuers = {name: IssuerFacts(shared.issuer, (name,), shared.jwks) for name in pair}
    access = [access_of(bare, name, shared, CALLERS, issuers=(issuers[name],), required=False) for name in pair]
    async with checked_gateway(tmp_path, *(f"{name}/m" for name in pair), binary=ENVOYS[version]) as found:
        await found.load(with_access(bare, *access))
        for name in pair:
            for audience in pair:
                before = found.models.reached.total()
                answer = await found.ask(HOST.format(name), "/v2/models/m", bearer(shared.token(aud=audience)))
                assert (answer.status == 200) is (audience == name), (name, audience, answer)
                assert found.models.reached.total() - before == (audience == name)
            assert (await found.ask(HOST.format(name), "/v2/models/m")).status == 200
