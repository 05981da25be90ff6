"""What holds of every answer and of every form: the policy, the session's mark, text that stays text; and what is
missing is said while the page stands."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import aiohttp

from k8s_manager.console.assets import name_of
from k8s_manager.console.console import PAGES as MODULES
from k8s_manager.console.page import TEMPLATES
from k8s_manager.console.security_headers import POLICY
from k8s_manager.console.sessions import Sessions
from k8s_manager.console.site import ConsoleSite
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.git_address import Address
from k8s_manager.runtime.settings import Git
from tests.features.test_git_target import documented
from tests.features.test_usage import api as api_with_usage
from tests.k8s_manager.console.conftest import SCRIPT, Browser
from tests.k8s_manager.console.test_attacks import is_harmless
from tests.k8s_manager.console.test_pages import PAGES, page_seen
from tests.support.documents import tenant
from tests.support.fleet import SETTINGS, TOKEN
from tests.support.standalone import free_port
from tests.support.waiting import until

RANKER = "/console/tenants/search/models/ranker"
API = "/v1/tenants/search/models/ranker"
TIGHT = SCRIPT.replace(" ", "/")
"""The same in one word, for fields without spaces."""
FILLED = {"tenant": "search", "model": "ranker", "name": "shared", "revision:int": "1"}


def written() -> list[str]:
    """Return the addresses of the console that take a form, all of them."""
    clock = SystemClock()
    site = ConsoleSite(lambda *_: None, Sessions(clock), clock, lambda: "")  # type: ignore[arg-type, return-value]
    routes = [route for module in MODULES for route in module.routes(site) if route.methods and "POST" in route.methods]
    return ["/console/sign-out", *(re.sub(r"{([^}]+)}", lambda part: FILLED[part[1]], one.path) for one in routes)]


async def test_every_answer_carries_the_policy_and_is_framed_by_no_other_site(place, browser):
    stranger = place.browser()
    answers = [
        await stranger.get("/console/sign-in"), await stranger.get("/console/", follow=False),
        await stranger.send("/console/sign-in", {"token": "no"}), await stranger.get("/console/links/made-up"),
        await stranger.get("/console/oidc/callback?state=x"), await stranger.send("/console/apply", {}, follow=False),
        await browser.get("/console/nothing"), await browser.get("/console/tenants/none"),
        await browser.get("/console", follow=False), await browser.get(f"{RANKER}/series?span=15m"),
        await browser.get(f"/console/assets/{name_of('console.js')}"), await browser.get("/console/assets/none.js"),
        await browser.send("/console/apply", {}), await browser.send(f"{RANKER}/scale", {"csrf": "x"}),
        await browser.send("/console/apply", {}, **{"Content-Type": "text/plain"}),
    ]  # fmt: skip
    async with browser.session.get(f"{browser.base}/console/live?about=") as line:
        assert line.headers["Content-Security-Policy"] == POLICY
    assert {seen.status for seen in answers} >= {200, 303, 307, 400, 401, 403, 404, 410}
    for seen in answers:
        assert seen.headers["Content-Security-Policy"] == POLICY and seen.headers["X-Frame-Options"] == "DENY"
    assert "'unsafe" not in POLICY and "default-src 'none'" in POLICY and "frame-ancestors 'none'" in POLICY


async def test_no_form_of_any_page_is_taken_without_its_sessions_mark(place, browser):
    addresses = written()
    assert len(addresses) >= 15 and f"{RANKER}/traffic" in addresses and "/console/overrides" in addresses
    other = place.browser()
    await other.sign_in("as-owner")
    mark = (await other.get("/console/")).form("/sign-out")["csrf"]
    for address in addresses:
        for fields in ({}, {"csrf": "made-up"}, {"csrf": mark}):
            assert (await browser.send(address, fields)).status == 403, address
        asked = await place.browser().send(address, {"csrf": mark}, follow=False)
        assert asked.status == 303 and asked.headers["Location"] == "/console/sign-in", address
    assert "Sign out" in (await browser.get("/console/")).text


async def _write_texts(place) -> None:
    """Write a script into every text that a tenant's people can set."""
    rest, said = place.rest, f"reason={quote(SCRIPT)}&ticket={quote(SCRIPT)}"
    root = "/v1/tenants/search/modelversions"
    auc = {"dataset": SCRIPT, "metric": SCRIPT, "value": 0.9, "samples": 5, "at": "2026-11-21T03:00:00Z"}
    version = {"model": "ranker", "version": "v2", "image": "x:2", "uri": f"s3://{TIGHT}", "evaluations": [auc]}
    asked = (
        ("PUT", f"{API}/versions/v1/scale?{said}", {"replicas": 3}),
        ("PUT", f"{API}/limit/override", {"total": 5, "reason": SCRIPT, "ttl": "1h", "author": SCRIPT}),
        ("POST", root, version), ("PUT", f"{root}/ranker-v2/block?{said}", {"reason": SCRIPT}),
        ("PUT", f"{root}/ranker-v7", {"spec": {
            "model": "ranker", "uri": f"s3://{TIGHT}", "image": TIGHT,
            "pinned": {"by": SCRIPT, "at": "2026-11-21T00:00:00Z"}, "registeredBy": SCRIPT,
        }}),
        ("PATCH", f"{API}?{said}", {"spec": {"rollout": {}}}), ("PUT", f"{API}/release?{said}", {"action": "pause"}),
        ("PATCH", API, {"metadata": {"annotations": {"note": SCRIPT}}}),
        ("PATCH", API, {"spec": {"versions": [{"name": "v1", "workload": {"image": TIGHT}}]}}),
        ("PUT", f"{API}/pause?{said}", {"paused": SCRIPT}),
    )  # fmt: skip
    taken = [(await rest.call(method, path, body))[0] for method, path, body in asked]
    assert all(status < 300 for status in taken), taken
    grant = {"role": "viewer", "users": [SCRIPT], "groups": [SCRIPT], "tenants": ["search"]}
    await rest.call("PUT", "/v1/grants/odd", {"spec": grant})
    place.manager.backend.events.publish("limit", "search/ranker", SCRIPT)


async def test_a_script_in_any_text_that_a_tenant_sets_is_text_on_every_page(place, browser):
    await page_seen(browser, f"{RANKER}/history/1")  # writes within half a second would be one revision
    await place.fleet.apply(tenant(owners=[f"group:{SCRIPT}", "group:search-ml"]))
    await _write_texts(place)
    revision = f"{RANKER}/history/2"
    await until(lambda: _is_shown(browser, revision), what="the second revision")
    shown = set()
    for path in (*PAGES, "tenants/search/models/ranker/history/2", f"changes?q={quote(SCRIPT)}", "changes?type=call"):
        seen = await page_seen(browser, f"/console/{path}")
        assert seen.status == 200 and is_harmless(seen.text), path
        shown |= {path} if "&lt;script&gt;alert" in seen.text else set()
    assert {
        "tenants", "tenants/search", "tenants/search/models/ranker", "tenants/search/models/ranker/history",
        "tenants/search/models/ranker/document", "overrides", "changes", "access",
    } <= shown  # fmt: skip
    assert (await browser.get(f"{RANKER}/series?span=15m")).headers["Content-Type"].startswith("application/json")


async def _is_shown(browser, address: str) -> bool:
    return (await browser.get(address)).status == 200


def test_no_template_takes_text_for_marks():
    for file in TEMPLATES.iterdir():
        text = re.sub(r"tojson \| forceescape", "", file.read_text())
        assert not re.search(r"\|\s*(safe|tojson)\b|autoescape|Markup", text), file.name


def test_every_empty_state_says_what_to_do_next():
    """Or that nothing has to be done: those begin with the word for it."""
    doing = re.compile(
        r"<a |<code>|\b(Ask|Apply|Set|Choose|Change|Scale|Start|Look|Widen|Wait|Name|Write)\b", re.IGNORECASE
    )
    for file in sorted(TEMPLATES.iterdir()):
        for said in re.findall(r'class="empty">(.*?)</(?:p|td)>', file.read_text(), re.DOTALL):
            is_well = said.startswith(("Nothing: ", "None: ", "not in the document"))
            assert is_well or doing.search(said), (file.name, said)


async def test_lists_are_searched_and_paged(place, browser):
    spec = {"role": "viewer", "groups": ["night-shift"], "tenants": ["search"]}
    for number in range(55):
        assert (await place.rest.call("PUT", f"/v1/grants/g{number:02d}", {"spec": spec}))[0] in (200, 201)
    seen = await browser.get("/console/access?q=night-shift")
    assert "Page 1 of 2, 55 in all" in seen.text and "g54" not in seen.text
    assert "g54" in (await browser.get("/console/access?q=night-shift&page=2")).text
    for address, wanted in (
        ("gateways", "shared"), ("gateways", "inference-gw"), ("access", "g07"), ("tenants/search", "rank"),
        ("claims", "ads.models"), ("tenants", "ads-ml"),
    ):  # fmt: skip
        seen = await browser.get(f"/console/{address}?q={wanted}")
        assert seen.text.count("<tbody>\n<tr><th") >= 1 and f'value="{wanted}"' in seen.text, address
        none = await browser.get(f"/console/{address}?q=nowhere")
        assert ">Show all</a>" in none.text and 'value="nowhere"' in none.text, address


async def test_a_tenants_page_shows_its_claims_and_what_others_have_delegated_to_it(place, browser):
    lent = {"name": "ads.models.example.com", "delegations": [{"path": "/lent", "tenant": "search"}]}
    await place.fleet.apply(tenant("ads", hosts=[lent], owners=["group:ads-ml"]))

    async def is_shown() -> bool:
        text = (await browser.get("/console/tenants/search")).text
        return "/lent</span> to search" in text and "search.models.example.com" in text

    await until(is_shown, what="both hosts")
    shown = (await browser.get("/console/tenants/ads")).text
    assert "this tenant" in shown and "/lent</span> to search" in shown


async def test_without_the_console_nothing_is_served_there(fleet):
    async with fleet.manager() as manager, fleet.rest(manager, console=False) as rest:
        for path in ("/console/", "/console/sign-in", "/console/assets/x", "/console/links"):
            async with rest._session.get(path) as answer:
                assert answer.status in (401, 404) and "text/html" not in answer.headers.get("Content-Type", "")


async def _reader(rest, session) -> Browser:
    browser = Browser(str(rest._session._base_url).rstrip("/"), session)
    await browser.sign_in(TOKEN)
    return browser


async def test_while_prometheus_is_away_the_page_stands_and_says_what_is_missing(fleet, tmp_path: Path):
    settings = replace(SETTINGS, prometheus_url=f"http://127.0.0.1:{free_port()}")
    async with (
        api_with_usage(fleet, tmp_path, settings) as rest,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        seen = await (await _reader(rest, session)).get(RANKER)
        assert seen.status == 200 and "Why the limit is what it is" in seen.text
        assert "unknown: Prometheus at 127.0.0.1 gave no figures" in seen.text, seen.text


async def test_while_git_is_away_its_page_says_so(fleet):
    address = Address(f"http://127.0.0.1:{free_port()}/tree.git", "main", "eu")
    settings = replace(SETTINGS, git=Git(address, quiet=0.05, longest=0.2, every=1.0))
    async with (
        fleet.manager(settings) as manager,
        fleet.rest(manager) as rest,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        browser = await _reader(rest, session)
        await documented(fleet)

        async def is_said() -> bool:
            seen = await browser.get("/console/git")
            return seen.status == 200 and 'role="alert"' in seen.text and "Committed" not in seen.text

        await until(is_said, what="the page saying that Git is away")
