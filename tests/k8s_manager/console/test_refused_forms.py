"""A form that the API refuses: its words stand at the field that they belong to, and what was typed is kept."""

import re
from html import unescape

import pytest

from istio_templates.yaml_text import yaml_text
from k8s_manager.console.actions.form_refusal import RefusedForm
from k8s_manager.console.api_client import ApiRefusal
from tests.features.test_access import as_

RANKER = "/console/tenants/search/models/ranker"
OVERRIDES = "/console/overrides"
FREEZE = {"scope": "named", "tenant": "search", "sets": "freeze", "ttl": "30m", "reason": "a node upgrade"}


async def sent(browser, address: str, **fields: str):
    csrf = (await browser.get("/console/")).form("/sign-out")["csrf"]
    return await browser.send(address, {"csrf": csrf, **fields})


def said_at(text: str, form: str, name: str) -> str:
    """Return what a page says is wrong with a field."""
    (found,) = re.findall(rf'<p id="wrong-{re.escape(form)}-{re.escape(name)}" class="why hot">(.*?)</p>', text)
    return unescape(found)


@pytest.mark.parametrize(
    ("action", "form", "fields", "at", "words"),
    [
        ("scale", "scale.v1", {"version": "v1", "replicas": "many"}, "replicas", "whole number"),
        ("scale", "scale.v1", {"version": "v1", "replicas": "-1"}, "replicas", "whole number"),
        ("override", "override", {"sets": "total", "value": "much", "ttl": "1h", "reason": "why not"}, "value", "much"),
        ("override", "override", {"sets": "total", "value": "5", "ttl": "soon", "reason": "why not"}, "ttl", "soon"),
        ("override", "override", {"sets": "total", "value": "5", "ttl": "48h", "reason": "why not"}, "ttl", "day"),
        ("override", "override", {"sets": "total", "value": "5", "ttl": "1h", "reason": "x"}, "reason", "3"),
        ("override", "override", {"sets": "floor", "ttl": "1h", "reason": "on fire"}, "confirm", "type ranker"),
        ("pause", "pause", {"paused": "x" * 4000}, "paused", ""),
    ],
)
async def test_what_the_api_refuses_of_an_action_stands_at_its_field(
    browser, action: str, form: str, fields: dict[str, str], at: str, words: str
):
    seen = await sent(browser, f"{RANKER}/{action}", **fields)
    assert 400 <= seen.status < 500 and "Why the limit is what it is" in seen.text, seen.text
    assert words in said_at(seen.text, form, at) and said_at(seen.text, form, at), seen.text
    assert 'role="alert"' in seen.text and 'aria-invalid="true"' in seen.text
    for name, value in fields.items():
        if name not in ("version", "sets"):
            assert f'name="{name}" ' in seen.text and f'value="{value}"' in seen.text, name
    if "sets" in fields:
        assert f'<option value="{fields["sets"]}" selected>' in seen.text


async def test_a_figure_of_the_traffic_is_refused_at_its_version(place, browser):
    found = await place.rest.call("GET", "/v1/tenants/search/models/ranker")
    versions = found[1]["spec"]["versions"]
    more = {**versions[0], "name": "v2"}
    await place.rest.call("PATCH", "/v1/tenants/search/models/ranker", {"spec": {"versions": [*versions, more]}})
    seen = await sent(browser, f"{RANKER}/traffic", **{"weight.v1": "90", "weight.v2": "tenth"})
    assert seen.status == 422 and "integer" in said_at(seen.text, "traffic", "weight.v2"), seen.text
    assert 'value="tenth"' in seen.text and 'value="90"' in seen.text


def test_a_problem_of_no_field_is_said_with_its_place():
    problems = [{"field": "spec.odd", "message": "is odd"}, {"field": "", "message": "whole"}]
    refusal = ApiRefusal(422, {"detail": "no", "problems": [*problems, {"field": "spec.total", "message": "is few"}]})
    found = RefusedForm.of("override", {}, refusal, {"total": "value"})
    assert found.problems == {"": ["spec.odd: is odd", "whole"], "value": ["is few"]}
    assert found.said("pause", "value") == "" and found.said("override", "value") == "is few"


async def test_an_override_of_many_models_is_set_found_and_ended_by_plans(place, browser):
    plan = await sent(browser, OVERRIDES, **FREEZE)
    assert plan.status == 200 and "Set override search-" in plan.text, plan.text
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    listed = await browser.get(f"{OVERRIDES}?q=node+upgrade")
    assert "tenant search" in listed.text and "action freeze" in listed.text
    assert "No override is like this" in (await browser.get(f"{OVERRIDES}?q=nothing")).text
    plan = await browser.send(f"{OVERRIDES}/end", listed.form("/overrides/end"))
    assert plan.status == 200 and "End override search-" in plan.text, plan.text
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    assert "a node upgrade" not in (await browser.get(OVERRIDES)).text


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"tenant": ""}, "scope", "name a gateway"),
        ({"scope": "everything"}, "scope", "empty these fields"),
        ({"scope": "everything", "tenant": ""}, "confirm", "type everything"),
        ({"sets": "unlimited"}, "confirm", "type search"),
        ({"sets": "floor", "model": "ranker", "confirm": "search"}, "confirm", "type ranker"),
        ({"tenant": "nowhere"}, "tenant", "does not exist"),
        ({"tenant": "", "gateway": "nowhere"}, "gateway", "does not exist"),
        ({"model": "nowhere"}, "model", "no model"),
        ({"sets": "total", "value": "few"}, "value", "few"),
        ({"ttl": "long"}, "ttl", "no duration"),
        ({"reason": "x"}, "reason", "3"),
    ],
)
async def test_what_is_wrong_with_an_override_stands_at_its_field(browser, changes, at: str, words: str):
    form = {**FREEZE, **changes}
    seen = await sent(browser, OVERRIDES, **form)
    assert 400 <= seen.status < 500 and words in said_at(seen.text, "override", at), seen.text
    assert f'value="{form["reason"]}"' in seen.text and f'<option value="{form["sets"]}" selected>' in seen.text


async def test_the_kill_switch_of_the_fleet_asks_for_its_word(place, browser):
    form = {"scope": "everything", "sets": "unlimited", "ttl": "10m", "reason": "on fire", "confirm": "everything"}
    plan = await sent(browser, OVERRIDES, **form)
    assert plan.status == 200 and "Set override everything-" in plan.text, plan.text
    assert 'value="everything"' not in plan.text


async def test_only_who_may_override_is_offered_it_and_only_who_may_end_one_its_end(place, browser):
    plan = await sent(browser, OVERRIDES, **FREEZE)
    await browser.send("/console/apply", plan.form("/apply"))
    owner = place.browser()
    await owner.sign_in("as-owner")
    page = await owner.get(OVERRIDES)
    assert "a node upgrade" in page.text and "Show the plan" not in page.text
    assert (await sent(owner, OVERRIDES, **FREEZE)).status == 403
    name = listed["name"] if (listed := (await browser.get(OVERRIDES)).form("/overrides/end")) else ""
    assert (await sent(owner, f"{OVERRIDES}/end", name=name)).status in (403, 404)


async def test_a_document_that_another_has_changed_shows_by_whom_and_what_sending_it_would_undo(place, browser):
    page = await browser.get(f"{RANKER}/document")
    form, path = page.form("models/ranker/document"), "/v1/tenants/search/models/ranker"
    _, before = await place.rest.call("GET", path)
    mine = {**before["spec"], "rateLimit": {**before["spec"]["rateLimit"], "perReplicaQps": 44}}
    typed = {**form, "text": yaml_text([{"spec": mine}]), "reason": "a measurement"}
    plan = await browser.send(f"{RANKER}/document", typed)
    status, _ = await place.rest.call("PUT", f"{path}/pause?reason=closed", {"paused": "closed"}, as_("owner"))
    assert status == 200
    late = await browser.send("/console/apply", plan.form("/apply"))
    assert late.status == 412 and "What was typed is kept" in late.text
    shown = await browser.send(f"{RANKER}/document", late.form("models/ranker/document"))
    assert shown.status == 412 and "What sending it again would change" in shown.text
    assert ">-  paused: closed<" in shown.text and "perReplicaQps: 44" in shown.text
    assert 'value="a measurement"' in shown.text
    again = {**shown.form("models/ranker/document"), "text": typed["text"]}
    plan = await browser.send(f"{RANKER}/document", again)
    assert plan.status == 200 and "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    _, after = await place.rest.call("GET", path)
    assert "paused" not in after["spec"] and after["spec"]["rateLimit"]["perReplicaQps"] == 44


async def test_a_deletion_without_the_name_shows_the_document_again(browser):
    seen = await sent(browser, f"{RANKER}/delete", confirm="rank")
    assert seen.status == 403 and "type ranker to confirm this" in seen.text and "<textarea" in seen.text
