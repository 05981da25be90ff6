"""A form makes a Model: what it makes, what is wrong with it at which field, and how it ends in a plan."""

import pytest

from istio_templates.documents import parse
from k8s_manager.console.pages.model_form import FIELDS, START, document_of, placed

DESIGN = "/console/tenants/search/design"
SOUND = {
    **START,
    "name": "reranker",
    "host": "search.models.example.com",
    "path": "/v2/models/reranker",
    "figure": "20",
}
SOUND["image"] = "example.com/reranker:1"


def spec_errors(form: dict[str, str]) -> None:
    """Read the document that a form makes as the manager does; raises for one that is wrong."""
    metadata = {"name": form["name"], "namespace": "search"}
    parse({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Model", "metadata": metadata, "spec": document_of(form)})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"figure": ""},
        {"mode": "shadow"},
        {"protocol": "grpc", "timeout": "10s"},
        {"cpu": "500m", "memory": "2Gi", "gpus": "1"},
        {"command": "serve --listen '$(POD_IP):8080'", "probe": "/v2/health/ready"},
        {"runs": "existing", "labels": "app=reranker, version=v1"},
        {"scaling": "demand", "most": "8"},
        {"scaling": "demand", "least": "", "most": "8", "target": "", "writer": "keda"},
        {"warmup": "fixedDelay", "delay": "30s"},
        {"warmup": "gate", "plan": "reranker"},
    ],
)
def test_a_form_makes_a_document_that_the_manager_takes(changes: dict[str, str]):
    spec_errors({**SOUND, **changes})


def test_a_command_is_read_as_a_shell_reads_it_and_knows_the_address_of_its_replica():
    (version,) = document_of({**SOUND, "command": "serve --name 'two words' --at $(POD_IP):8080"})["versions"]
    assert version["workload"]["command"] == ["serve", "--name", "two words", "--at", "$(POD_IP):8080"]
    assert version["workload"]["env"] == [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    (plain,) = document_of({**SOUND, "command": "serve"})["versions"]
    assert plain["workload"] == {"image": "example.com/reranker:1", "replicas": 2, "command": ["serve"]}


def test_replicas_follow_the_demand_or_are_always_as_many():
    asked = {**SOUND, "scaling": "demand", "least": "2", "most": "40", "target": "70%", "writer": "hpa"}
    (version,) = document_of(asked)["versions"]
    signals = [{"name": "demand", "target": "70%"}]
    assert version["autoscale"] == {"min": 2, "max": 40, "signals": signals, "writer": "hpa"}
    assert "replicas" not in version["workload"]
    (plain,) = document_of({**asked, "scaling": ""})["versions"]
    assert plain["workload"]["replicas"] == 2 and "autoscale" not in plain
    (found,) = document_of({**asked, "runs": "existing", "labels": "app=a"})["versions"]
    assert found == {"name": "v1", "existing": {"labels": {"app": "a"}}}  # whose number is their owner's


def test_problems_are_placed_at_the_nearest_field():
    found = placed(
        [
            ("spec.routes[0].path", "a"), ("spec.versions[0].workload.replicas", "b"), ("metadata.name", "c"),
            ("spec.versions[0].existing.labels.app", "d"), ("spec.traffic", "e"), ("", "f"),
        ]
    )  # fmt: skip
    assert found == {"path": ["a"], "replicas": ["b"], "name": ["c"], "labels": ["d"], "": ["spec.traffic: e", "f"]}
    assert len(set(FIELDS.values())) == len(FIELDS)


async def test_a_model_is_made_by_the_designer(place):
    browser = place.browser()
    await browser.sign_in("as-owner")
    page = await browser.get(DESIGN)
    assert page.status == 200 and "search.models.example.com" in page.text
    csrf = page.form("/design")["csrf"]
    plan = await browser.send(DESIGN, {"csrf": csrf, **SOUND, "reason": "a second model"})
    assert plan.status == 200 and "Make search/reranker" in plan.text and "VirtualService" in plan.text
    done = await browser.send("/console/apply", plan.form("/apply"))
    assert "Done." in done.text and "<h1>reranker" in done.text
    made = await place.fleet.get("Model", "reranker", "search")
    assert made["spec"]["rateLimit"]["perReplicaQps"] == 20


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"path": "no-slash"}, "path"),
        ({"port": "many"}, "port"),
        ({"port": "inf"}, "port"),
        ({"replicas": "nan"}, "replicas"),
        ({"replicas": "-1"}, "replicas"),
        ({"image": "two words"}, "image"),
        ({"figure": "-5"}, "figure"),
        ({"command": "serve 'half"}, "command"),
        ({"probe": "/ready", "port": "many"}, "port"),
        ({"version": "V 1"}, "version"),
        ({"name": "ranker"}, "name"),
        ({"scaling": "demand"}, "most"),
        ({"scaling": "demand", "most": "8", "target": "80"}, "target"),
        ({"scaling": "demand", "most": "many"}, "most"),
        ({"scaling": "demand", "least": "9", "most": "8"}, "scaling"),
        ({"scaling": "demand", "least": "-1", "most": "8"}, "least"),
        ({"name": "Big Name"}, "name"),
        ({"warmup": "fixedDelay", "delay": "soon"}, "delay"),
    ],
)
async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_is_kept(browser, changes, field: str):
    csrf = (await browser.get(DESIGN)).form("/design")["csrf"]
    form = {"csrf": csrf, **SOUND, **changes, "reason": "kept"}
    checked = await browser.send(f"{DESIGN}/check", form)
    assert (
        checked.status == 200 and f'<p id="problem-{field}" class="why hot" hx-swap-oob="true"></p>' not in checked.text
    )
    assert f'id="problem-{field}"' in checked.text and "This document is sound" not in checked.text
    shown = await browser.send(DESIGN, form)
    assert 400 <= shown.status < 500 and f'<p id="problem-{field}" class="why hot"></p>' not in shown.text
    assert 'value="kept"' in shown.text and f'value="{form["path"]}"' in shown.text


async def test_what_is_typed_so_far_is_checked_without_a_name(browser):
    csrf = (await browser.get(DESIGN)).form("/design")["csrf"]
    form = {"csrf": csrf, **SOUND, "name": ""}
    assert "This document is sound" in (await browser.send(f"{DESIGN}/check", form)).text
    shown = await browser.send(DESIGN, form)
    assert shown.status == 422 and "give the model a name" in shown.text


async def test_only_who_may_edit_is_offered_the_designer(place):
    grant = {"spec": {"role": "tenantOperator", "users": ["stranger"], "tenants": ["search"]}}
    await place.rest.call("PUT", "/v1/grants/operator", grant)
    browser = place.browser()
    await browser.sign_in("as-stranger")
    assert "Design a model" not in (await browser.get("/console/tenants/search")).text
    csrf = (await browser.get("/console/")).form("/sign-out")["csrf"]
    assert (await browser.send(DESIGN, {"csrf": csrf, **SOUND})).status == 403
