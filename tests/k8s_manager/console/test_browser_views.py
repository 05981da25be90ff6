"""What a person sees of a page that stays open, of a chart, and of the answers to forms, in a real browser."""

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import expect

from tests.k8s_manager.console.test_browser import chromium, pytestmark, visitor
from tests.support.bounds import hung
from tests.support.documents import labels
from tests.support.visitor import Visitor
from tests.support.waiting import until

__all__ = ["chromium", "pytestmark"]
MODEL = "tenants/search/models/ranker"
API = f"/v1/{MODEL}"


async def _plan(person: Visitor) -> None:
    await person.show(MODEL)
    await person.proposes(person.page.locator("form[action$='/scale']"))


async def _refused_action(person: Visitor) -> None:
    await person.show(MODEL)
    form = person.page.locator("form[action$='/override']")
    for label, text in (("Requests per second", "many"), ("For", "soon"), ("Why", "a try")):
        await form.get_by_label(label, exact=True).fill(text)
    await form.get_by_role("button").click()
    await person.page.get_by_role("alert").wait_for()


async def _refused_override(person: Visitor) -> None:
    await person.show("overrides")
    await person.page.get_by_label("Why").fill("a try")
    await person.page.get_by_role("button", name="Show the plan").click()
    await person.page.get_by_role("alert").wait_for()


async def _refused_document(person: Visitor) -> None:
    await person.show(f"{MODEL}/document")
    await person.page.get_by_label("The document, as YAML").fill("spec: {versions: 7}")
    await person.page.locator("form[action$='/document'] button").click()
    await person.page.get_by_role("alert").wait_for()


async def _refused_design(person: Visitor) -> None:
    await person.show("tenants/search/design")
    await person.page.get_by_role("button", name="Show the plan").click()
    await person.page.locator("#problem-name").get_by_text("is missing").wait_for()


async def _missing(person: Visitor) -> None:
    await person.show("tenants/none")


async def _trial(person: Visitor) -> None:
    await person.show(f"{MODEL}/what-if?period=15m&perReplicaQps=-1&replicas=many&gateways=1")


VIEWS: tuple[Callable[[Visitor], Awaitable[None]], ...] = (
    _plan, _refused_action, _refused_override, _refused_document, _refused_design, _missing, _trial,
)  # fmt: skip


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("desk", "dark"), ("phone", "light")])
async def test_no_answer_to_a_form_has_a_barrier_or_a_scroll_bar_below(chromium, place, size: str, scheme: str):
    person = await visitor(chromium, place, size, color_scheme=scheme)
    await person.sign_in()
    body = {"total": 3, "reason": "seen by axe", "ttl": "1h"}
    assert (await place.rest.call("PUT", f"{API}/limit/override", body))[0] == 201
    for view in VIEWS:
        await view(person)
        assert await person.barriers() == [], view.__name__
        width = await person.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], view.__name__
    assert [one for one in person.complaints if "status of 4" not in one] == []


async def test_changes_of_the_limit_are_marked_on_the_chart_with_their_reasons(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await place.fleet.pod("inference-gw", {"istio": "shared"})
    await place.fleet.pod("search", labels())
    await until(lambda: _has_limit(place, 20), what="the limit of a warm replica")
    body = {"total": 7, "reason": "an incident", "ttl": "1h"}
    assert (await place.rest.call("PUT", f"{API}/limit/override", body))[0] == 201
    await person.show(MODEL)
    note, chart = person.page.locator("#chart-note"), person.page.locator("#chart")
    await until(lambda: _is_marked(person, "an incident"), what="the change among those of the chart")
    await person.show(MODEL)
    await expect(chart).to_have_attribute("data-marks", re.compile("[1-9]"), timeout=hung() * 1000)
    await expect(person.page.get_by_text("Its last changes, and why")).to_be_visible(timeout=hung() * 1000)
    await person.page.get_by_text("Its last changes, and why").click()
    listed = person.page.get_by_role("listitem").filter(has_text="limit is 7/s")
    await expect(listed.last).to_contain_text("override 7/s by", timeout=hung() * 1000)
    await expect(listed.last).to_contain_text("an incident", timeout=hung() * 1000)
    await person.page.evaluate("window.scrollTo(0, 0)")
    box = await person.page.locator("#chart .u-over").first.bounding_box()
    assert box is not None
    # The newest change is at the right end: the last quarter of an hour ends now.
    for left in range(int(box["width"]) - 1, int(box["width"]) - 60, -2):
        await person.page.mouse.move(box["x"] + left, box["y"] + box["height"] / 2)
        await person.page.evaluate("new Promise((done) => requestAnimationFrame(() => done(0)))")
        if "an incident" in await note.inner_text():
            break
    assert "an incident" in await note.inner_text()
    assert person.complaints == []


async def _has_limit(place, total: float) -> bool:
    return bool((await place.rest.call("GET", f"{API}/limit"))[1].get("total") == total)


async def _is_marked(person: Visitor, words: str) -> bool:
    """Tell whether words stand among the changes that the chart gets, as its page asks for them."""
    asked = "fetch(document.getElementById('chart').dataset.source).then((one) => one.text())"
    return words in str(await person.page.evaluate(asked))


async def test_a_chart_keeps_its_figures_while_its_span_is_changed(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await person.show(MODEL)
    page, spans = person.page, person.page.get_by_role("navigation", name="Span of the chart")
    lengths = dict[str, float]()
    for span in ("15m", "6h", "7d"):
        async with page.expect_response(f"**/series?span={span}"):
            await spans.get_by_role("link", name=span).click()
        await expect(spans.get_by_role("link", name=span)).to_have_attribute("aria-current", "true")
        lengths[span] = await _length(person)
    assert lengths["15m"] < lengths["6h"] < lengths["7d"]
    await page.evaluate("window.before = 'not loaded again'")
    await page.route("**/series?*", lambda route: route.abort())
    for span in ("6h", "15m", "7d"):
        await spans.get_by_role("link", name=span).click()
        await expect(page.locator("#chart-note")).to_contain_text("not live", timeout=hung() * 1000)
        assert await _length(person) == pytest.approx(lengths[span], rel=0.05), "the figures of before are shown"
        assert page.url.endswith(f"?span={span}")
    assert await page.evaluate("window.before") == "not loaded again"
    assert all("ERR_FAILED" in one for one in person.complaints)


async def _length(person: Visitor) -> float:
    """Return how many seconds the chart's points reach over, as its x axis shows."""
    found: float = await person.page.evaluate(
        "(() => { const [first, last] = document.getElementById('chart').dataset.shown.split(' ').map(Number);"
        " return last - first; })()"
    )
    return found


async def test_times_are_those_of_the_readers_place_with_utc_on_hover(chromium, place):
    person = await visitor(chromium, place, timezone_id="Asia/Tokyo", locale="en-GB")
    await person.sign_in()
    await person.show(MODEL)
    time = person.page.locator("time").first
    utc, shown = await time.get_attribute("title"), await time.text_content()
    assert utc is not None and shown is not None and utc.endswith(" UTC")
    hour = (int(utc[11:13]) + 9) % 24
    assert f"{hour:02d}{utc[13:19]}" in shown, (utc, shown)


async def test_a_page_that_is_loaded_again_many_times_does_not_grow(chromium, place):
    person = await visitor(chromium, place)
    await person.page.add_init_script(
        "window.opened = 0; const Source = EventSource;"
        "window.EventSource = class extends Source { constructor(at) { super(at); window.opened += 1; } };"
    )
    await person.sign_in()
    await person.show(MODEL)
    await expect(person.page.locator("#line")).to_have_text("live", timeout=hung() * 1000)
    again = (
        "new Promise((done) => { document.body.addEventListener('htmx:afterSettle', done, { once: true });"
        " document.body.dispatchEvent(new Event('changed')); }).then(() => 0)"
    )
    count, nodes = "document.getElementsByTagName('*').length", list[int]()
    for _ in range(30):
        await person.page.evaluate(again)
        nodes.append(await person.page.evaluate(count))
    assert max(nodes[-5:]) <= max(nodes[:5]) + 30, nodes
    assert await person.page.locator("#live").count() == 1 and await person.page.evaluate("window.opened") == 1
    assert person.complaints == []


async def test_a_page_is_reached_and_an_action_found_by_the_tab_key_alone(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    page = person.page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    await _tab_to(person, "search/ranker")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/{MODEL}")
    await _tab_to(person, "Document")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "what has the focus is seen"


async def _tab_to(person: Visitor, text: str) -> None:
    for _ in range(200):
        await person.page.keyboard.press("Tab")
        if await person.page.evaluate("document.activeElement.textContent") == text:
            return
    raise AssertionError(f"{text} is not reached by the keyboard")
