"""The page of changes: events and calls in one line of time, by who, what and when; and the page of the doctor."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from k8s_manager.console.page import beside
from k8s_manager.console.pages import changes
from k8s_manager.console.pages.changes import ChangeFilter
from tests.features.test_access import as_
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"
_ROW = re.compile(r"<tr><td>.*?</tr>", re.DOTALL)


def rows(text: str) -> list[str]:
    """Return the lines of the table, without marks."""
    return [re.sub(r"<[^>]+>", " ", row) for row in _ROW.findall(text)]


@pytest.fixture
async def history(place) -> None:
    """A change that was made, one that was refused, and a call without an identity."""
    status, answer = await place.rest.call(
        "PUT", f"{RANKER}/versions/v1/scale?reason=evening", {"replicas": 3}, as_("owner")
    )
    assert status == 200, answer
    assert (await place.rest.call("DELETE", "/v1/gateways/shared", None, as_("owner")))[0] == 403
    assert (await place.rest.call("GET", "/v1/gateways", None, {"Authorization": "Bearer none"}))[0] == 401


async def test_calls_stand_among_events_the_newest_first(browser, history):
    found = rows((await browser.get("/console/changes")).text)
    calls = [row for row in found if " call " in row]
    assert len(calls) == 3 and "unknown, from 127.0.0.1" in calls[0] and "refused 401" in calls[0]
    assert "token:owner" in calls[1] and "DELETE /v1/gateways/shared" in calls[1]
    assert "done 200" in calls[2] and "search/ranker" in calls[2] and "?reason=evening" in calls[2]
    assert any(" condition " in row for row in found)


async def test_changes_are_found_by_who_what_when_and_how_they_ended(browser, history):
    soon = datetime.now(UTC) + timedelta(hours=1)
    for query, calls, events in (
        ("by=OWNER", 2, False),
        ("by=owner&outcome=done", 1, False),
        ("q=ranker&type=call", 1, False),
        ("q=Ranker", 1, True),
        ("type=condition", 0, True),
        ("from=2001-01-01T00:00&to=2002-01-01T00:00", 0, False),
        (f"from=2001-01-01T00:00&to={soon:%Y-%m-%dT%H:%M}", 3, True),
        ("outcome=nonsense&by=owner", 2, False),
    ):
        seen = await browser.get(f"/console/changes?{query}")
        found = rows(seen.text)
        assert seen.status == 200 and sum(" call " in row for row in found) == calls, query
        assert any(" call " not in row for row in found) is events, query


async def test_a_filter_stays_in_the_form_the_live_part_and_the_next_page(place, browser):
    for number in range(60):
        await place.rest.call("DELETE", f"/v1/gateways/none-{number}", None, as_("owner"))
    seen = await browser.get("/console/changes?q=none-&by=owner&outcome=refused&from=2001-01-01T00:00")
    assert 'value="owner"' in seen.text and 'value="2001-01-01T00:00"' in seen.text
    assert "<option selected>refused</option>" in seen.text and len(rows(seen.text)) == 50
    (following,) = re.findall(r'href="(/console/changes[^"]+)" rel="next"', seen.text)
    assert {"q=none-", "by=owner", "outcome=refused"} <= set(re.split(r"[?&]|&amp;", following.replace("&amp;", "&")))
    again = await browser.get(following.replace("&amp;", "&"))
    assert len(rows(again.text)) == 10 and "Page 2 of 2" in again.text
    assert 'hx-get="/console/changes?page=1&amp;q=none-&amp;by=owner' in seen.text


async def test_nothing_found_says_what_to_do_and_a_wrong_moment_what_is_wrong(browser):
    assert "Widen the filter" in (await browser.get("/console/changes?q=nowhere-at-all")).text
    seen = await browser.get("/console/changes?from=yesterday&by=x")
    assert seen.status == 200 and 'role="alert"' in seen.text and "is no moment" in seen.text
    assert rows(seen.text) == []
    assert (await browser.get("/console/changes?from=99999999999&to=-5&page=x")).status == 200


async def test_who_may_not_read_the_trail_sees_events_and_no_caller(place, history):
    browser = place.browser()
    await browser.sign_in("as-owner")
    for query in ("", "?by=owner&outcome=done", "?type=call"):
        seen = await browser.get(f"/console/changes{query}")
        assert seen.status == 200 and "token:owner" not in seen.text and "DELETE /v1" not in seen.text
        assert 'id="by"' not in seen.text and 'id="outcome"' not in seen.text and rows(seen.text)
        assert "which platform admins read" in seen.text


async def test_a_revision_leads_to_what_happened_around_it(place, browser, history):
    async def recorded() -> str:
        return (await browser.get("/console/tenants/search/models/ranker/history")).text

    async def is_there() -> bool:
        return "evening" in await recorded()

    await until(is_there, what="the revision")
    links = re.findall(r'href="(/console/changes[^"]+)"', await recorded())
    seen = await browser.get(links[0].replace("&amp;", "&"))
    assert any("?reason=evening" in row for row in rows(seen.text))


def test_a_moment_beside_another_is_in_utc_and_none_where_there_is_none():
    assert beside("2026-01-01T00:02:30+02:00", -5) == "2025-12-31T21:57"
    assert beside(None, 5) == beside("soon", 5) == beside("9999-12-31T23:59:00Z", 5) == ""


def test_moments_that_no_calendar_has_are_no_field():
    assert ChangeFilter(first=1e17).start_in_utc == "" and ChangeFilter(last=0.0).end_in_utc == "1970-01-01T00:00"


async def test_the_doctor_shows_what_is_worst_first_and_what_to_do(browser):
    seen = await browser.get("/console/doctor")
    areas = re.findall(r"<h2[^>]*>([^<]+)</h2>", seen.text)
    assert areas == ["Gateways", "Istio", "Validation", "Rights", "Autoscaling", "Well"]
    assert "something is missing" in seen.text and "1 failure<" in seen.text and "4 not looked at" in seen.text
    assert "What to do: start the gateway" in seen.text and ">Look again</button>" in seen.text
    assert re.search(r"found at <time datetime=\"20", seen.text)
    assert ">Doctor</a>" in seen.text


async def test_more_calls_than_the_page_shows_are_said(place, browser, monkeypatch):
    monkeypatch.setattr(changes, "LIMIT", 2)
    monkeypatch.setattr(changes, "MOST_CALLS", 4)
    for number in range(5):
        await place.rest.call("DELETE", f"/v1/gateways/none-{number}", None, as_("owner"))
    seen = await browser.get("/console/changes?type=call")
    assert len(rows(seen.text)) == 4 and "only the newest 4 that match are shown; narrow the filter" in seen.text
    assert "narrow the filter" not in (await browser.get("/console/changes?type=call&q=none-4")).text
