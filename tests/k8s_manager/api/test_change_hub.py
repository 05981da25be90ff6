"""One listener for all open pages: whom it wakes, of what, how many at once, and when it lets go."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest

from k8s_manager.api.authn.authenticators import Authenticators, Unidentified
from k8s_manager.api.guard import Guard
from k8s_manager.api.streams import change_hub
from k8s_manager.api.streams.change_hub import AT_ONCE, EVERYTHING, SETTLED, ChangeFollower, ChangeHub, Interest
from k8s_manager.api.streams.event_stream import StreamTerms, proved
from k8s_manager.authz.roles import Grant, Grants, Identity, Right, Role
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.token_bucket import Rate
from tests.support.waiting import until

NAMESPACES = {"search-ns": "search", "ads": "ads"}
RANKER, BIDDER = Interest("search", "ranker"), Interest("ads", "bidder")


class SteppedClock(SystemClock):
    """Seconds that a test counts; a wait for another batch of pages ends when the test says so."""

    def __init__(self) -> None:
        self.seconds, self.steps, self.waits = 0.0, asyncio.Queue[None](), 0

    def now(self) -> float:
        return self.seconds

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        self.waits += 1
        await self.steps.get()
        return event.is_set()

    async def step(self) -> None:
        """End a wait, and wait for the next one."""
        before = self.waits
        self.steps.put_nowait(None)
        await until(lambda: self.waits > before, what="the next wait")


class People:
    """Tokens by who holds them; `admin` sees the fleet, others a tenant each."""

    def __init__(self) -> None:
        self.tokens = {"root": "admin", "s": "anna", "a": "bert"}
        self.grants = [Grant(Role.PLATFORM_ADMIN, users=frozenset({"admin"}))]
        self.grant("anna", "search")
        self.grant("bert", "ads")
        self.questions = 0

    def grant(self, user: str, tenant: str) -> None:
        self.grants.append(Grant(Role.VIEWER, users=frozenset({user}), tenants=frozenset({tenant})))

    async def identity(self, token: str) -> Identity | None:
        return Identity(self.tokens[token]) if token in self.tokens else None

    def directory(self) -> SimpleNamespace:
        def grants() -> Grants:
            self.questions += 1
            return Grants(self.grants)

        return SimpleNamespace(grants=grants)


class Site:
    """A hub with its events and people."""

    def __init__(self, clock: SystemClock) -> None:
        self.people, self.stop = People(), asyncio.Event()
        self.events, self.clock = Events(clock), clock
        guard = Guard(
            Authenticators([self.people]),
            self.people.directory(),  # type: ignore[arg-type]
            clock,
            Rate(1, 1),
            Rate(1, 1),
        )
        self.hub = ChangeHub(self.events, NAMESPACES.get, guard, clock, StreamTerms(60.0, self.stop))

    @asynccontextmanager
    async def pages(self, *asked: tuple[str, Interest]) -> AsyncIterator[list[ChangeFollower]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.hub.following(token, about)) for token, about in asked]

    async def heard(self) -> None:
        """Wait until the hub has heard everything that was published."""
        await until(lambda: self.hub.mark().endswith(f"-{self.events.last}"), what="the hub hearing everything")


@pytest.fixture
def site(monkeypatch) -> Site:
    monkeypatch.setattr(change_hub, "GAP", 0.0)
    monkeypatch.setattr(change_hub, "SETTLED", 0.0)
    return Site(SystemClock())


def woken(pages: list[ChangeFollower]) -> list[bool]:
    """Return which pages were woken, and let them sleep again."""
    found = [page.changed.is_set() for page in pages]
    for page in pages:
        page.changed.clear()
    return found


async def all_woken(site: Site) -> None:
    await site.heard()
    await until(lambda: not site.hub._marked, what="all pages being woken")


async def test_a_page_is_woken_by_what_it_is_about_and_by_nothing_else(site):
    asked = [("root", RANKER), ("root", BIDDER), ("root", Interest("search")), ("root", EVERYTHING)]
    async with site.pages(*asked) as pages:
        for subject, details, wanted in (
            ("search-ns/ranker", {}, [True, False, True, True]),
            ("search-ns/other", {}, [False, False, True, True]),
            ("ads/bidder", {}, [False, True, False, True]),
            ("search", {"kind": "Tenant"}, [False, False, True, True]),
            ("shared", {"kind": "InferenceGateway"}, [False, False, False, True]),
        ):
            site.events.publish("condition", subject, "something", **details)
            await all_woken(site)
            assert woken(pages) == wanted, subject
        site.events.publish("override", "launch", "override is in force for ads/bidder and 7 others")
        await all_woken(site)
        assert woken(pages) == [True] * 4


async def test_a_page_is_never_woken_by_what_its_reader_may_not_see(site):
    asked = [("s", BIDDER), ("s", Interest("ads")), ("s", EVERYTHING), ("a", EVERYTHING), ("root", EVERYTHING)]
    async with site.pages(*asked) as pages:
        site.events.publish("limit", "ads/bidder", "limit is 3/s")
        await all_woken(site)
        assert woken(pages) == [False, False, False, True, True]
        site.events.publish("override", "launch", "override is in force for ads/bidder")
        site.events.publish("proof", "shared", "all gateway pods run what was written")
        await all_woken(site)
        assert woken(pages) == [False, False, False, False, True]
        site.people.grant("anna", "ads")
        site.events.publish("limit", "ads/bidder", "limit is 4/s")
        await all_woken(site)
        assert woken(pages) == [True, True, True, True, True], "the grants in force count, not those of the opening"
        del site.people.grants[1:]
        site.events.publish("limit", "ads/bidder", "limit is 5/s")
        await all_woken(site)
        assert woken(pages) == [False, False, False, False, True]


async def test_two_hundred_pages_of_a_reader_cost_one_decision_and_are_woken_a_few_at_a_time():
    clock = SteppedClock()
    site = Site(clock)
    async with site.pages(*[("root", EVERYTHING)] * 200) as pages:
        before = site.people.questions
        for _ in range(50):
            site.events.publish("limit", "ads/bidder", "limit is 3/s")
        await site.heard()
        await until(lambda: clock.waits, what="the first look at marked pages")
        assert site.people.questions - before <= 2, "further events find pages that are marked already"
        await clock.step()
        assert not any(page.changed.is_set() for page in pages), "what follows from one change comes with it"
        clock.seconds = SETTLED
        for _ in range(200 // AT_ONCE):
            await clock.step()
            assert sum(woken(pages)) == AT_ONCE
        assert not site.hub._marked


async def test_a_mark_says_what_a_page_has_missed(site):
    async with site.pages(("root", EVERYTHING)):
        mark = site.hub.mark()
        for asked, after, is_missed in (
            (RANKER, mark, False),
            (RANKER, "", False),
            (RANKER, "another-7", True),
            (RANKER, "<b>", True),
        ):
            async with site.hub.following("s", asked, after) as page:
                await until(lambda: not site.hub._marked, what="what was marked being woken")
                assert page.changed.is_set() is is_missed, after
        site.events.publish("limit", "search-ns/ranker", "limit is 3/s")
        site.events.publish("limit", "ads/bidder", "limit is 3/s")
        await all_woken(site)
        for token, asked, is_missed in (("s", RANKER, True), ("s", BIDDER, False), ("s", Interest("search"), True),
                                        ("a", EVERYTHING, True), ("a", RANKER, False)):  # fmt: skip
            async with site.hub.following(token, asked, mark) as page:
                await until(lambda: not site.hub._marked, what="what was marked being woken")
                assert page.changed.is_set() is is_missed, (token, asked)
        for number in range(1500):
            site.events.publish("limit", f"ads/other-{number}", "limit is 3/s")
        await site.heard()
        async with site.hub.following("s", RANKER, mark) as page:
            await until(page.changed.is_set, what="a page that is older than the memory of events")


async def test_events_that_were_lost_in_a_burst_wake_every_page(site):
    async with site.pages(("s", RANKER)) as pages:
        await site.heard()
        for number in range(2500):
            site.events.publish("limit", f"ads/other-{number}", "limit is 3/s")
        await all_woken(site)
        assert woken(pages) == [True]


async def test_a_reader_is_proved_again_and_let_go_when_it_is_another():
    clock = SteppedClock()
    site = Site(clock)
    async with site.pages(("s", RANKER)) as (page,):
        clock.seconds = 59.0
        site.people.tokens["s"] = "carla"
        await site.hub.prove(page)
        assert not page.over.is_set()
        clock.seconds = 61.0
        await site.hub.prove(page)
        assert page.over.is_set() and page.changed.is_set()
        clock.seconds, site.people.tokens = 122.0, {}
        with pytest.raises(Unidentified):
            await site.hub.prove(page)
    with pytest.raises(Unidentified):
        async with site.hub.following("s", RANKER):
            pytest.fail("a token that proves nobody follows nothing")


async def test_pages_are_let_go_when_the_manager_stops_and_nothing_is_kept_of_those_that_left(site):
    async with site.pages(*[("root", EVERYTHING), ("s", RANKER)] * 20) as pages:
        site.events.publish("limit", "search-ns/ranker", "limit is 3/s")
    assert not site.hub._readers and not site.hub._marked and len(pages) == 40
    await until(lambda: not site.events._listeners, what="the hub listening no more")
    async with site.pages(("root", EVERYTHING)) as (page,):
        site.stop.set()
        await until(page.over.is_set, what="the page being let go")
        assert page.changed.is_set(), "who waits for a change waits no more"


async def test_a_hub_that_fails_lets_its_pages_go_and_goes_on_with_the_next(site, monkeypatch, caplog):
    async with site.pages(("root", EVERYTHING)) as (page,):
        monkeypatch.setattr(change_hub, "is_shown", lambda *_: 1 / 0)
        site.events.publish("limit", "search-ns/ranker", "limit is 3/s")
        await until(page.over.is_set, what="the page being let go")
    assert "open pages are let go" in caplog.text
    monkeypatch.undo()
    async with site.pages(("root", EVERYTHING)) as (page,):
        site.events.publish("limit", "search-ns/ranker", "limit is 3/s")
        await until(page.changed.is_set, what="the next page being woken")
        assert not page.over.is_set()


async def test_a_stream_of_events_ends_by_itself_when_the_manager_stops():
    stop, is_closed = asyncio.Event(), asyncio.Event()

    async def lines():
        try:
            yield b"data: %s\n\n" % json.dumps(Right.READ).encode()
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    async def prove() -> Identity:
        return Identity("anna")

    found = []
    async for line in proved(lines(), prove, StreamTerms(3600.0, stop)):
        found.append(line)
        stop.set()
    assert found == [b'data: "read"\n\n'] and is_closed.is_set()
