"""What pages show, and to whom; what every answer carries."""

import gzip
import re
from contextlib import AsyncExitStack

import pytest

from k8s_manager.console.assets import FOLDER, assets
from k8s_manager.console.security_headers import POLICY
from tests.k8s_manager.console.conftest import Browser, Seen
from tests.support.documents import tenant
from tests.support.fleet import TOKEN
from tests.support.waiting import until

PAGES = (
    "", "gateways", "gateways/shared", "tenants", "tenants/search", "tenants/search/design",
    "tenants/search/models/ranker", "tenants/search/models/ranker/history", "tenants/search/models/ranker/history/1",
    "tenants/search/models/ranker/logs", "tenants/search/models/ranker/what-if",
    "tenants/search/models/ranker/document", "overrides", "claims", "changes", "git", "doctor", "access", "account",
)  # fmt: skip


async def page_seen(browser: Browser, path: str) -> Seen:
    """Return a page; a revision is written some time after its document, so its page is waited for."""

    async def recorded() -> Seen | None:
        seen = await browser.get(path)
        return None if "has no revision" in seen.text else seen

    return await until(recorded, what=f"the revision of {path}")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_whole_and_carries_the_headers(browser, path: str):
    seen = await page_seen(browser, f"/console/{path}")
    assert seen.status == 200, seen.text
    assert seen.headers["Content-Security-Policy"] == POLICY and seen.headers["Cache-Control"] == "no-store"
    assert seen.headers["X-Frame-Options"] == "DENY" and seen.headers["X-Content-Type-Options"] == "nosniff"
    assert seen.text.count("<h1") == 1 and seen.text.rstrip().endswith("</html>")
    assert not re.search(r"<script(?![^>]*\bsrc=)| on[a-z]+=|style=|javascript:", seen.text), "nothing inline"
    for name in re.findall(r'/console/assets/([^"]+)"', seen.text):
        assert name in assets(), name


async def test_what_is_not_there_is_said(browser):
    for path, status in (("nothing", 404), ("tenants/none", 404), ("tenants/search/models/none", 404)):
        seen = await browser.get(f"/console/{path}")
        assert seen.status == status and "To the overview" in seen.text
    assert (await browser.get("/console/tenants?page=-1&q=%3Cb%3E")).status == 200
    assert (await browser.get("/console/changes?page=99999999999999")).status == 200


async def test_a_tenants_engineer_sees_its_tenant_and_nothing_else(place):
    browser = place.browser()
    await browser.sign_in("as-owner")
    overview, tenants = await browser.get("/console/"), await browser.get("/console/tenants")
    for seen in (overview, tenants, await browser.get("/console/claims"), await browser.get("/console/changes")):
        assert seen.status == 200 and not re.search(r"\bads\b|bidder", seen.text)
    assert "search/ranker" in overview.text and ">Gateways</a>" not in overview.text and ">Git</a>" not in overview.text
    assert ">Doctor</a>" not in overview.text
    for path, status in (
        ("tenants/ads", 404),
        ("tenants/ads/models/bidder", 404),
        ("gateways", 403),
        ("git", 403),
        ("doctor", 403),
        ("access", 403),
    ):
        assert (await browser.get(f"/console/{path}")).status == status, path
    page = await browser.get("/console/tenants/search/models/ranker")
    assert "Show the plan" in page.text


async def test_who_was_granted_nothing_is_told_so(place):
    browser = place.browser()
    seen = await browser.send("/console/sign-in", {"token": "as-stranger", "next": "/console/"})
    assert seen.status == 200 and "a platform admin grants roles" in seen.text
    assert (await browser.get("/console/tenants")).status == 403


async def test_a_viewer_is_offered_no_action(place):
    status, _ = await place.rest.call(
        "PUT", "/v1/grants/viewer", {"spec": {"role": "viewer", "users": ["stranger"], "tenants": ["search"]}}
    )
    assert status in (200, 201)
    browser = place.browser()
    await browser.sign_in("as-stranger")
    page = await browser.get("/console/tenants/search/models/ranker")
    document = await browser.get("/console/tenants/search/models/ranker/document")
    assert page.status == document.status == 200
    assert "Show the plan" not in page.text + document.text and "<textarea" not in document.text


async def test_tenants_are_found_by_name_host_and_owner(browser):
    for wanted, found in (("search", True), ("ads.models", True), ("ads-ml", True), ("nowhere", False)):
        seen = await browser.get(f"/console/tenants?q={wanted}")
        assert ("<tbody>\n<tr><th" in seen.text) is found, wanted


async def test_a_chart_without_collectors_stands_and_says_so(browser):
    seen = await browser.get("/console/tenants/search/models/ranker/series?span=15m")
    assert seen.status == 200 and '"gaps":["' in seen.text and '"demand":[0' in seen.text
    page = await browser.get("/console/tenants/search/models/ranker")
    assert "Requests may be missing here" in page.text


async def test_a_tenant_says_its_ceiling_what_is_taken_of_it_and_what_becomes_of_edits(place, browser):
    async def facts():
        seen = await browser.get("/console/tenants/search")
        return re.sub(r"<[^>]+>", "", seen.text[seen.text.index("<dt>Ceiling") : seen.text.index("<dt>Owners")])

    ranker = await place.rest.call("GET", "/v1/tenants/search/models/ranker")
    total = f"{ranker[1]['status']['limit']['total']:g}"
    assert f"none; its models' limits take {total} requests/s" in await facts()
    assert "Edits of othersset back" in await facts()
    await place.fleet.apply(tenant(rateLimit={"ceiling": 300}, drift="report"))

    async def are_shown():
        found = await facts()
        return f"300 requests/s, of which its models' limits take {total}" in found and "reported" in found

    await until(are_shown, "the ceiling and the policy")


async def test_files_are_kept_for_ever_and_sent_packed(browser):
    name = next(name for name in assets() if name.startswith("htmx"))
    async with browser.session.get(f"{browser.base}/console/assets/{name}", auto_decompress=False) as answer:
        assert answer.headers["Cache-Control"].endswith("immutable") and answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()) == (FOLDER / "htmx.min.js").read_bytes()
    assert (await browser.get("/console/assets/..%2fassets.py")).status == 404


async def test_a_first_visit_is_small(browser):
    page = await browser.get("/console/tenants/search/models/ranker")
    files = sum(len(assets()[name].packed) for name in set(re.findall(r'/console/assets/([^"]+)"', page.text)))
    whole = files + len(gzip.compress(page.text.encode()))
    assert whole <= 120_000, whole


async def test_an_open_page_is_told_of_changes_and_of_nothing_after_the_sign_out(place, browser):
    page = await browser.get("/console/")
    async with browser.session.get(f"{browser.base}/console/live?about=") as line:
        assert line.status == 200 and line.content_type == "text/event-stream"
        assert b"event: open" in await line.content.readuntil(b"\n\n")
        body = {"replicas": 3}
        status, answer = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/versions/v1/scale", body)
        assert status == 200, answer
        assert b"event: changed" in await line.content.readuntil(b"\n\n")
        await browser.send("/console/sign-out", page.form("/sign-out"))
        await place.rest.call("PUT", "/v1/tenants/search/models/ranker/versions/v1/scale", {"replicas": 2})
        rest = await line.content.read()
        assert rest.count(b"event: changed") <= 1


async def test_a_trial_needs_traffic_that_was_counted_and_says_what_is_wrong(browser):
    path = "/console/tenants/search/models/ranker/what-if?period=15m&gateways=2&replicas=2"
    for figure in ("20", "many", "-1"):
        seen = await browser.get(f"{path}&perReplicaQps={figure}")
        assert seen.status in (404, 422, 503) and 'role="alert"' in seen.text and f'value="{figure}"' in seen.text


async def test_an_open_page_hears_of_what_its_reader_may_see_alone(place, browser):
    owner = place.browser()
    await owner.sign_in("as-owner")
    asked = ((browser, "ads/bidder", True), (browser, "search/bidder", False), (owner, "ads/bidder", False))
    async with AsyncExitStack() as stack:
        lines = []
        for reader, about, _ in asked:
            where = f"{reader.base}/console/live?about={about}"
            lines.append(await stack.enter_async_context(reader.session.get(where)))
            assert b"event: open" in await lines[-1].content.readuntil(b"\n\n")
        place.manager.backend.events.publish("limit", "ads/bidder", "limit is 3/s")
        assert b"event: changed" in await lines[0].content.readuntil(b"\n\n")
        place.rest.stop.set()
        assert [b"event: changed" in await line.content.read() for line in lines[1:]] == [False, False]


async def test_a_page_that_has_missed_something_hears_of_it_when_it_comes_back(place, browser):
    page = await browser.get("/console/tenants/search/models/ranker")
    (mark,) = re.findall(r'data-mark="([^"]+)"', page.text)
    place.manager.backend.events.publish("limit", "search/ranker", "limit is 3/s")
    where = f"{browser.base}/console/live?about=search/ranker"
    for query, headers in ((f"&after={mark}", {}), ("", {"Last-Event-ID": mark})):
        async with browser.session.get(where + query, headers=headers) as line:
            assert b"event: open" in await line.content.readuntil(b"\n\n")
            assert b"event: changed" in await line.content.readuntil(b"\n\n")


async def test_a_manager_that_stops_ends_open_pages_and_streams_of_the_api(place, browser):
    """Their ends come by themselves: a stream that the server cuts off has no last piece, and raises here."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    paths = ("/v1/events", "/v1/tenants/search/models/ranker/logs?follow=true", "/console/live?about=")
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(browser.session.get(browser.base + path, headers=headers)) for path in paths
        ]
        assert b"event: open" in await streams[2].content.readuntil(b"\n\n")
        place.rest.stop.set()
        for stream in streams:
            await stream.content.read()
        assert all(stream.status == 200 and stream.content.at_eof() for stream in streams)
