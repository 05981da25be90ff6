"""The document of a model as a form: it says what holds, changes that alone, and is refused field by field."""

import pytest

from k8s_manager.console.actions.document_form import fields_of, patch_of
from tests.features.test_access import as_
from tests.k8s_manager.console.test_refused_forms import said_at

RANKER, API = "/console/tenants/search/models/ranker", "/v1/tenants/search/models/ranker"
SPEC = {
    "routes": [{"host": "a.example.com", "path": "/v2", "port": 80, "timeout": "5s"}],
    "versions": [
        {"name": "v1", "workload": {"image": "x:1", "replicas": 2, "command": ["serve"]}},
        {"name": "v2", "workload": {"image": "x:2"}, "autoscale": {"max": 4}},
        {"name": "old", "existing": {"labels": {"app": "old"}}},
    ],
    "rateLimit": {"perReplicaQps": 20.0, "burst": "1s"},
}


def typed(**changes: str) -> dict[str, str]:
    return {**{one.path: one.value for one in fields_of(SPEC)}, **changes}


def test_a_form_that_nothing_was_typed_into_changes_nothing():
    assert patch_of(SPEC, typed()) == {} and patch_of(SPEC, {}) == {}
    said = {one.path: one.value for one in fields_of(SPEC)}
    assert said["rateLimit.perReplicaQps"] == "20" and said["versions[0].workload.replicas"] == "2"
    assert "versions[1].workload.replicas" not in said, "signals decide on it"
    assert not any(path.startswith("versions[2]") for path in said)


@pytest.mark.parametrize(
    ("changes", "patch"),
    [
        ({"rateLimit.perReplicaQps": "33"}, {"rateLimit": {"perReplicaQps": 33}}),
        ({"rateLimit.floor": "many", "rateLimit.mode": "shadow"}, {"rateLimit": {"floor": "many", "mode": "shadow"}}),
        ({"rateLimit.perReplicaQps": ""}, {"rateLimit": {"perReplicaQps": None}}),
        ({"routes[0].timeout": ""}, {"routes": [{"host": "a.example.com", "path": "/v2", "port": 80}]}),
    ],
)
def test_a_form_changes_what_was_typed_and_nothing_else(changes, patch):
    assert patch_of(SPEC, typed(**changes)) == patch


def test_a_list_is_sent_whole_as_it_was_read():
    before = repr(SPEC)
    patch = patch_of(SPEC, typed(**{"versions[0].workload.image": "x:9", "versions[0].workload.replicas": "7"}))
    changed = {"image": "x:9", "replicas": 7, "command": ["serve"]}
    assert patch == {"versions": [{"name": "v1", "workload": changed}, *SPEC["versions"][1:]]}
    assert repr(SPEC) == before


async def test_a_model_is_changed_by_its_form_through_a_plan(place, browser):
    form = (await browser.get(f"{RANKER}/document")).form("models/ranker/fields")
    given = {**form, "rateLimit.perReplicaQps": "44", "routes[0].timeout": "7s", "reason": "a measurement"}
    plan = await browser.send(f"{RANKER}/fields", given)
    assert plan.status == 200 and "VirtualService" in plan.text, plan.text
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    _, after = await place.rest.call("GET", API)
    assert after["spec"]["rateLimit"]["perReplicaQps"] == 44 and after["spec"]["routes"][0]["timeout"] == "7s"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("rateLimit.perReplicaQps", "many"), ("rateLimit.mode", "gently"), ("rateLimit.floor", "-1"),
        ("versions[0].workload.image", "two words"), ("versions[0].workload.replicas", "some"),
        ("routes[0].timeout", "soon"),
    ],
)  # fmt: skip
async def test_what_the_api_refuses_stands_at_its_field(browser, path: str, text: str):
    form = (await browser.get(f"{RANKER}/document")).form("models/ranker/fields")
    seen = await browser.send(f"{RANKER}/fields", {**form, path: text, "reason": "a try"})
    assert seen.status == 422 and said_at(seen.text, "fields", path), seen.text
    assert f'value="{text}"' in seen.text and 'value="a try"' in seen.text and "<textarea" in seen.text


async def test_a_form_of_a_document_that_another_has_changed_writes_nothing(place, browser):
    form = (await browser.get(f"{RANKER}/document")).form("models/ranker/fields")
    body = {"spec": {"rateLimit": {"ceiling": 90}}}
    assert (await place.rest.call("PATCH", API, body, as_("owner")))[0] == 200
    seen = await browser.send(f"{RANKER}/fields", {**form, "rateLimit.perReplicaQps": "44", "rateLimit.ceiling": ""})
    assert seen.status == 412 and 'role="alert"' in seen.text and 'value="44"' in seen.text
    assert said_at(seen.text, "fields", "rateLimit.ceiling") == "the document says 90 here now"
    assert said_at(seen.text, "fields", "rateLimit.floor") == ""
    _, after = await place.rest.call("GET", API)
    assert after["spec"]["rateLimit"]["perReplicaQps"] != 44
