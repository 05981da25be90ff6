"""What a tenant, or another site, may try on who reads the console."""

from urllib.parse import quote

import pytest

from tests.k8s_manager.console.conftest import SCRIPT
from tests.support.documents import tenant

RANKER = "/console/tenants/search/models/ranker"


def is_harmless(text: str) -> bool:
    """Tell whether a page shows the script as text at most."""
    return "<script>alert" not in text and "<img src=x" not in text


async def test_text_of_tenants_is_text_on_every_page(place, browser):
    await place.fleet.apply(tenant("search", hosts=[{"name": "search.models.example.com"}], owners=[f"group:{SCRIPT}"]))
    body = {"total": 5, "reason": SCRIPT, "ttl": "1h"}
    status, _ = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/limit/override", body)
    assert status in (200, 201)
    status, _ = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/pause", {"paused": SCRIPT})
    assert status == 200
    place.fleet.api.counts.clear()
    shown = 0
    for path in ("", "tenants", "tenants/search", "overrides", "changes", "doctor", "tenants/search/models/ranker"):
        seen = await browser.get(f"/console/{path}")
        assert seen.status == 200 and is_harmless(seen.text), path
        shown += "&lt;script&gt;" in seen.text
    assert shown >= 3, "the text is there, as text"


async def test_what_callers_sent_is_text_among_the_changes(place, browser):
    token = {"Authorization": "Bearer as-script"}
    name = quote("<img src=x onerror=alert(1)>", safe="")
    for method, path in (
        ("DELETE", f"/v1/tenants/{name}?reason={quote(SCRIPT)}&ticket={quote(SCRIPT)}"),
        ("PUT", f"/v1/gateways/shared?reason={SCRIPT.replace(' ', '+')}"),
    ):
        assert (await place.rest.call(method, path, {}, token))[0] in (403, 404)
    seen = await browser.get("/console/changes?type=call")
    assert seen.status == 200 and is_harmless(seen.text) and seen.text.count("&lt;script&gt;alert") == 2
    assert "/v1/tenants/&lt;img src=x" in seen.text
    for query in (f"by={quote(SCRIPT)}", f"from={quote(SCRIPT)}&to={quote(SCRIPT)}", f"outcome={quote(SCRIPT)}"):
        seen = await browser.get(f"/console/changes?{query}")
        assert seen.status == 200 and is_harmless(seen.text), query


@pytest.mark.parametrize("page", ["tenants", "changes", "claims"])
async def test_what_is_searched_for_is_text(browser, page: str):
    seen = await browser.get(f"/console/{page}?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&type=%3Cscript%3E")
    assert seen.status == 200 and is_harmless(seen.text) and "&lt;script&gt;alert" in seen.text
    path = await browser.get("/console/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert path.status == 404 and is_harmless(path.text)


async def test_a_form_without_the_sessions_mark_does_nothing(place, browser):
    for fields in ({}, {"csrf": ""}, {"csrf": "x" * 32}, {"csrf": "\u00e9"}):
        seen = await browser.send(f"{RANKER}/pause", {**fields, "paused": "attack"})
        assert seen.status == 403, fields
    csrf = (await browser.get("/console/")).form("/sign-out")["csrf"]
    other = place.browser()
    await other.sign_in("as-owner")
    assert (await other.send(f"{RANKER}/pause", {"csrf": csrf, "paused": "attack"})).status == 403
    foreign = await browser.send(f"{RANKER}/pause", {"csrf": csrf, "paused": "x"}, **{"Sec-Fetch-Site": "cross-site"})
    assert foreign.status == 403
    signing = await browser.send("/console/sign-in", {"token": "x"}, **{"Sec-Fetch-Site": "cross-site"})
    assert signing.status == 403, "nobody is signed in as somebody else by another site"
    found = await place.fleet.get("Model", "ranker", "search")
    assert "paused" not in found["spec"]


async def test_a_form_that_is_none_is_refused(browser):
    json = await browser.send("/console/apply", {}, **{"Content-Type": "application/json"})
    assert json.status == 400
    async with browser.session.post(
        f"{browser.base}/console/apply",
        data=b"a=" + b"x" * 3_000_000,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ) as answer:
        assert answer.status == 400
    csrf = (await browser.get("/console/")).form("/sign-out")["csrf"]
    for path in ("/metrics", "//evil.example/v1/", "/v1/../metrics", "http://evil.example/v1/", "/v1/x?dryRun=false"):
        made_up = {"csrf": csrf, "method": "PUT", "path": path, "body": "{}"}
        assert (await browser.send("/console/apply", made_up)).status == 400, path
    for fields in ({"method": "GET", "path": "/v1/x"}, {"method": "PUT", "path": "/v1/x", "body": "{"}):
        assert (await browser.send("/console/apply", {"csrf": csrf, **fields})).status == 400


async def test_the_way_back_of_a_form_stays_in_the_console(browser):
    csrf = (await browser.get("/console/")).form("/sign-out")["csrf"]
    plan = await browser.send(f"{RANKER}/pause", {"csrf": csrf, "paused": "for a test"})
    made_up = {**plan.form("/apply"), "back": "https://evil.example/\r\nX-Bad: 1"}
    seen = await browser.send("/console/apply", made_up, follow=False)
    assert seen.status == 303 and seen.headers["Location"] == "/console/?done=1" and "X-Bad" not in seen.headers


async def test_the_api_takes_no_cookie(place, browser):
    async with browser.session.get(f"{browser.base}/v1/tenants") as answer:
        assert answer.status == 401
