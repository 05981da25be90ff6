"""What changes while a gateway serves: it takes effect at once, and in an order in which nothing stands open."""

import copy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from istio_templates import catalog, names
from istio_templates.callers.access_facts import CallerFacts
from istio_templates.callers.token_check import CLOCK_SKEW
from istio_templates.facts import Bucket, Manifest, SlotFacts
from k8s_manager.standalone.translator.snapshot import EXTENSION, LISTENER
from ratelimiter.slots import slot_of
from tests.callers.rig import MODELS, OPEN, OWN, PUBLIC, SEARCH, plan_of_all
from tests.support.callers import CheckedGateway, access_of, bearer, checked_gateway, objects_of, with_access
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("envoy")
GOOD = bearer(SEARCH.token())


async def status(found: CheckedGateway, place: Any = OWN, headers: dict[str, str] = GOOD) -> int:
    return (await found.ask(place.host, place.path, headers)).status


async def status_apart(found: CheckedGateway, headers: dict[str, str]) -> int:
    """Return the status of a request on a connection of its own: others drain with the listener that they came by."""
    return await status(found, headers={**headers, "connection": "close"})


async def test_a_revoked_token_is_refused_on_open_connections_and_no_listener_changes(tmp_path: Path):
    plan = plan_of_all()
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(plan)
        assert await status(found) == 200
        before = await found.envoy.stats("listener_manager.listener_(added|modified|removed)$")
        revoked = (CallerFacts("app1", revoked=("id-1",)),)
        changed = access_of(plan, "search", SEARCH, revoked, ("faq",))
        await found.load(with_access(plan, changed, plan.access["guest"], plan.access["ads"]))
        assert await status(found) == 401
        assert await status(found, headers=bearer(SEARCH.token(jti="id-9"))) == 200
        assert await found.envoy.stats("listener_manager.listener_(added|modified|removed)$") == before


async def test_a_token_whose_expiration_is_within_the_skew_is_taken_and_not_for_longer(tmp_path: Path):
    """Envoy remembers tokens that it has verified; it forgets none of their claims."""
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(plan_of_all())
        late = bearer(SEARCH.token(exp=int(time.time()) - CLOCK_SKEW + 10))
        assert await status(found, headers=late) == 200

        async def is_refused() -> bool:
            return await status(found, headers=late) == 401

        await until(is_refused, "the token being refused")


async def test_of_a_hundred_models_a_caller_may_call_those_that_it_names(tmp_path: Path):
    plan = plan_of_all()
    named = frozenset({"ranker", *(f"model.{number}" for number in range(100))})
    known = (*plan.access["search"].models, *((name, names.identity("search", name).route) for name in named))
    callers = (CallerFacts("app1", named), CallerFacts("app2", named - {"ranker"}), CallerFacts("app3", frozenset()))
    changed = replace(access_of(plan, "search", SEARCH, callers), models=tuple(dict.fromkeys(known)))
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(with_access(plan, changed))
        answers = [await status(found, headers=bearer(SEARCH.token(sub=f"app{number}"))) for number in (1, 2, 3)]
        assert answers == [200, 403, 403]


async def test_a_route_that_comes_before_its_rule_is_refused(tmp_path: Path):
    plan = plan_of_all()
    early = replace(plan.access["search"], models=())
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(replace(plan, access={**plan.access, "search": early}))
        for place in (OWN, PUBLIC):
            for headers in ({}, GOOD, {"x-tidegate-caller": "app1"}):
                answer = await found.ask(place.host, place.path, headers)
                assert answer.status == 401 and "no verified caller" in answer.body
        assert not found.models.reached
        assert await status(found, OPEN, {}) == 200


async def test_without_contents_of_an_access_slot_a_listener_takes_no_request(tmp_path: Path):
    objects = objects_of(plan_of_all())
    own = f"tidegate-shared-access-{names.access_slot('search')}"
    async with checked_gateway(tmp_path, *MODELS) as found:
        whole = found.snapshot(objects)
        lacking = found.snapshot([obj for obj in objects if obj["metadata"]["name"] != own])
        assert len(whole[EXTENSION]) - len(lacking[EXTENSION]) == 2
        found.envoy.snapshot = lacking
        found.envoy.ads.changed()
        with pytest.raises(OSError, match="onnect"):
            for _ in range(20):
                await status(found, OPEN, {})
        assert not found.models.reached
        await found.envoy.load(whole)
        assert await status(found) == 200


def made(objects: list[Manifest], name: str, day: int) -> list[Manifest]:
    """Return objects of which those with this in their name were made on a day of their own."""
    out = []
    for obj in copy.deepcopy(objects):
        its = day if name in obj["metadata"]["name"] else 15
        out.append({**obj, "metadata": {**obj["metadata"], "creationTimestamp": f"2026-11-{its:02}T00:00:00Z"}})
    return out


@pytest.mark.parametrize("day", [1, 28], ids=["access first", "slots first"])
async def test_a_request_that_is_refused_uses_up_no_limit_whichever_filters_were_made_first(day: int, tmp_path: Path):
    plan = plan_of_all()
    slot = SlotFacts(plan.pools["shared"], slot_of("search", "ranker"), ((names.identity("search", "ranker"), LIMIT),))
    limited = {names.key_of(obj): obj for obj in catalog.render_slot(slot)}
    objects = [limited.get(names.key_of(obj), obj) for obj in objects_of(plan)]
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.envoy.load(found.snapshot(made(objects, "-access", day)))
        assert found.envoy.ads.rejections == []
        assert [await status(found, headers={}) for _ in range(6)] == [401] * 6
        assert [await status(found) for _ in range(3)] == [200, 200, 429]


LIMIT = Bucket(1, 1000, 2)


def filters(snapshot: dict[str, Any]) -> list[str]:
    (listener,) = snapshot[LISTENER].values()
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return [one["name"] for one in manager["http_filters"]]


async def test_a_gateway_that_serves_already_gets_the_same_filters_in_the_same_order(tmp_path: Path):
    plan = plan_of_all()
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(replace(plan, access={}))
        assert await status_apart(found, {}) == 200
        later = found.snapshot(made(objects_of(plan), "-access", 28))
        assert filters(later) == filters(found.snapshot(objects_of(plan)))
        order = filters(later)
        assert order.index("tidegate.shared.access.verified") < order.index("tidegate.shared.slot-00")
        assert order.index("tidegate.shared.access.forged") < order.index("tidegate.shared.access-0.authn")
        await found.envoy.load(later)
        assert (await status_apart(found, {}), await status_apart(found, GOOD)) == (401, 200)
        await found.load(replace(plan, access={}))
        assert await status_apart(found, {}) == 200
