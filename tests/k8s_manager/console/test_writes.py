"""Every write is shown before it is done, and done as it was shown."""

import json

import pytest

from istio_templates.yaml_text import yaml_text
from tests.features.conftest import is_programmed
from tests.support.waiting import until

RANKER = "/console/tenants/search/models/ranker"


async def replicas(place) -> int:
    found = await place.fleet.get("Model", "ranker", "search")
    return found["spec"]["versions"][0]["workload"]["replicas"]


async def proposed(browser, action: str, **fields: str):
    page = await browser.get(RANKER)
    csrf = page.form("/sign-out")["csrf"]
    return await browser.send(f"{RANKER}/{action}", {"csrf": csrf, **fields})


async def test_a_model_is_scaled_by_a_plan(place, browser):
    before = await replicas(place)
    plan = await proposed(browser, "scale", version="v1", replicas=str(before + 1))
    assert plan.status == 200 and "Scale v1 to" in plan.text and "Limit after" in plan.text
    assert await replicas(place) == before, "a plan writes nothing"
    done = await browser.send("/console/apply", {**plan.form("/apply"), "why": "more demand"})
    assert done.status == 200 and "Done." in done.text and await replicas(place) == before + 1
    history = await until(lambda: _said(browser, "more demand"), what="the reason in the history")
    assert "tidegate:holder" in history


async def _said(browser, words: str) -> str | None:
    text = (await browser.get(f"{RANKER}/history")).text
    return text if words in text else None


async def test_what_another_has_changed_meanwhile_is_planned_again(place, browser):
    plan = await proposed(browser, "scale", version="v1", replicas="7")
    status, _ = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/versions/v1/scale", {"replicas": 4})
    assert status == 200
    again = await browser.send("/console/apply", plan.form("/apply"))
    assert "Not applied" in again.text and await replicas(place) == 4
    done = await browser.send("/console/apply", again.form("/apply"))
    assert "Done." in done.text and await replicas(place) == 7


async def test_an_override_is_set_and_ended(place, browser):
    plan = await proposed(browser, "override", sets="total", value="5", ttl="1h", reason="an incident")
    assert plan.status == 200 and "Limit before" in plan.text and "<dd>5</dd>" in plan.text, plan.text
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    assert "an incident" in (await browser.get("/console/overrides")).text
    ending = await proposed(browser, "override/end")
    assert "Done." in (await browser.send("/console/apply", ending.form("/apply"))).text
    assert "an incident" not in (await browser.get("/console/overrides")).text


async def test_a_release_is_shown_and_steered(place, browser):
    found = await place.fleet.get("Model", "ranker", "search")
    await place.fleet.apply({**found, "spec": {**found["spec"], "rollout": {}}, "metadata": {
        name: found["metadata"][name] for name in ("name", "namespace")
    }})  # fmt: skip
    await until(lambda: _shows(browser, "Steer the release"), what="the release on the page")
    csrf = (await browser.get(RANKER)).form("/sign-out")["csrf"]
    plan = await browser.send(f"{RANKER}/release", {"csrf": csrf, "action": "abort", "reason": "an exercise"})
    assert plan.status == 200 and "Abort the release of" in plan.text, plan.text
    live = await place.fleet.get("Model", "ranker", "search")
    assert "tidegate.dev/release" not in (live["metadata"].get("annotations") or {}), "a plan writes nothing"
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    live = await place.fleet.get("Model", "ranker", "search")
    assert "an exercise" in live["metadata"]["annotations"]["tidegate.dev/release"]


async def _shows(browser, words: str) -> bool:
    return words in (await browser.get(RANKER)).text


async def test_a_plan_that_changes_several_limits_lists_them(place, browser):
    await until(lambda: is_programmed(place.fleet, "bidder", "ads"), what="the other model")
    csrf = (await browser.get(RANKER)).form("/sign-out")["csrf"]
    until_then = {"expires": "2100-01-01T00:00:00Z", "author": "ann", "reason": "all of them"}
    body = {"spec": {"target": {"everything": True}, "total": 3, **until_then}}
    intent = {"title": "Override", "method": "PUT", "path": "/v1/overrides/all", "body": json.dumps(body), "csrf": csrf}
    plan = await browser.send("/console/apply", {**intent, "back": "/console/", "fingerprint": "older"})
    assert 'aria-label="Limits"' in plan.text and plan.text.count('<td class="number">3</td>') == 2, plan.text


async def test_no_limit_at_all_asks_for_the_name(browser):
    asked = {"sets": "unlimited", "value": "", "ttl": "1h", "reason": "an incident"}
    assert (await proposed(browser, "override", **asked)).status == 403
    assert (await proposed(browser, "override", **asked, confirm="ranker")).status == 200


async def test_a_document_is_changed_as_yaml_and_what_is_wrong_stands_beside_it(place, browser):
    page = await browser.get(f"{RANKER}/document")
    form = page.form("models/ranker/document")
    wrong = await browser.send(f"{RANKER}/document", {**form, "text": "spec: {versions: 7}", "reason": "a try"})
    assert wrong.status == 422 and "spec.versions" in wrong.text and "spec: {versions: 7}" in wrong.text
    broken = await browser.send(f"{RANKER}/document", {**form, "text": "spec: [", "reason": ""})
    assert broken.status == 400 and "spec: [" in broken.text
    _, now = await place.rest.call("GET", "/v1/tenants/search/models/ranker")
    now["spec"]["rateLimit"] = {"perReplicaQps": 33}
    plan = await browser.send(f"{RANKER}/document", {**form, "text": yaml_text([{"spec": now["spec"]}])})
    assert plan.status == 200, plan.text
    done = await browser.send("/console/apply", plan.form("/apply"))
    assert "Done." in done.text
    _, after = await place.rest.call("GET", "/v1/tenants/search/models/ranker")
    assert after["spec"]["rateLimit"]["perReplicaQps"] == 33
    stale = await browser.send(f"{RANKER}/document", {**form, "text": yaml_text([{"spec": now["spec"]}])})
    assert stale.status == 412 and "perReplicaQps: 33" in stale.text, "what was typed is kept"


async def test_a_model_is_paused_opened_and_rolled_back(place, browser):
    for field in ("maintenance", ""):
        plan = await proposed(browser, "pause", paused=field)
        assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    await until(lambda: _said(browser, ">3</a>"), what="three revisions")
    plan = await proposed(browser, "rollback", revision="2")
    assert "Go back to revision 2" in plan.text
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    found = await place.fleet.get("Model", "ranker", "search")
    assert found["spec"]["paused"] == "maintenance"


@pytest.mark.parametrize(("version", "count"), [("v1", "-1"), ("v1", "many"), ("none", "2"), ("../x", "2"), ("v1", "")])
async def test_what_the_api_refuses_is_said_in_its_words(browser, version: str, count: str):
    seen = await proposed(browser, "scale", version=version, replicas=count)
    assert 400 <= seen.status < 500 and 'role="alert"' in seen.text


async def test_a_tenant_that_may_not_is_refused_also_with_a_made_up_form(place):
    browser = place.browser()
    await browser.sign_in("as-owner")
    csrf = (await browser.get("/console/")).form("/sign-out")["csrf"]
    made_up = {"csrf": csrf, "method": "DELETE", "path": "/v1/tenants/ads/models/bidder", "back": "/console/"}
    seen = await browser.send("/console/apply", made_up)
    assert seen.status == 404 and await place.fleet.get("Model", "bidder", "ads")
