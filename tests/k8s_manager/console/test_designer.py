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
SECOND = {"second": "v2", "second-image": "example.com/reranker:2"}
ALREADY = {"runs": "existing", "labels": "app=reranker, version=v1", "second-labels": "app=reranker, version=v2"}


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
        {**SECOND, "match0": "x-arm", "match0-value": "b"},
        {**SECOND, "second-weight": "25", "sticky": "header", "sticky-name": "x-user-id"},
        {**SECOND, "second-weight": "100", "sticky": "cookie", "sticky-name": "session"},
        {"match1": "arm", "match1-how": "cookie", "match1-value": "b", "match1-arm": "beta"},
        {**SECOND, **ALREADY, "match0": "x-arm", "match0-how": "regex", "match0-value": "b|c"},
        {**SECOND, "scaling": "demand", "most": "8", "match0": "x-arm", "match0-how": "prefix", "match0-value": "b"},
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


def test_a_second_version_gets_what_matches_and_its_weight():
    rows = {"match0": "x-arm", "match0-value": "b", "match0-arm": "testers", "match2": "arm", "match2-value": "b"}
    spec = document_of({**SOUND, **SECOND, **rows, "match2-how": "cookie", "second-weight": "10", "probe": "/ready"})
    one, two = spec["versions"]
    assert two == {**one, "name": "v2", "workload": {**one["workload"], "image": "example.com/reranker:2"}}
    assert spec["traffic"] == [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}]
    assert spec["trafficMatches"] == [
        {"name": "testers", "headers": {"x-arm": {"exact": "b"}}, "version": "v2"},
        {"cookie": {"name": "arm", "value": "b"}, "version": "v2"},
    ]
    assert "sticky" not in spec
    spec = document_of({**SOUND, **SECOND, **ALREADY, "sticky": "cookie", "sticky-name": "session"})
    assert [version["existing"]["labels"]["version"] for version in spec["versions"]] == ["v1", "v2"]
    assert spec["traffic"] == [{"version": "v1", "weight": 100}] and spec["sticky"] == {"cookie": {"name": "session"}}
    plain = document_of(SOUND)
    assert len(plain["versions"]) == 1 and not {"trafficMatches", "sticky"} & plain.keys()


def test_a_problem_of_a_match_stands_at_its_row_though_one_before_it_is_empty():
    form = {**SOUND, "match0": "x-arm", "match2": "x-user"}
    problems = [("spec.trafficMatches[0].headers", "a"), ("spec.trafficMatches[1].name", "b")]
    assert placed(problems, form) == {"match0": ["a"], "match2-arm": ["b"]}


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


async def test_an_experiment_is_made_by_the_designer(place):
    browser = place.browser()
    await browser.sign_in("as-owner")
    csrf = (await browser.get(DESIGN)).form("/design")["csrf"]
    match = {"match0-how": "prefix", "match0": "x-user", "match0-value": "qa-", "match0-arm": "testers"}
    form = {"csrf": csrf, **SOUND, **SECOND, **match, "sticky": "header", "sticky-name": "x-user-id"}
    plan = await browser.send(DESIGN, form)
    assert plan.status == 200 and "search.reranker.0.testers" in plan.text
    done = await browser.send("/console/apply", plan.form("/apply"))
    assert "Done." in done.text
    made = (await place.fleet.get("Model", "reranker", "search"))["spec"]
    headers = {"x-user": {"prefix": "qa-"}}
    assert made["trafficMatches"] == [{"name": "testers", "headers": headers, "version": "v2"}]
    assert made["sticky"] == {"header": "x-user-id"} and len(made["versions"]) == 2


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
        ({"second": "V 2", "second-image": "example.com/reranker:2"}, "second"),
        ({"second": "v2", "second-image": "two words"}, "second-image"),
        ({**SECOND, "second-weight": "some"}, "second-weight"),
        ({**SECOND, "match2": "host", "match2-value": "b"}, "match2"),
        ({**SECOND, "match0": "x-arm", "match0-value": "b", "match0-arm": "A b"}, "match0-arm"),
        ({**SECOND, "match0": "x-arm", "match0-how": "regex", "match0-value": "(b"}, "match0"),
        ({"sticky": "header", "sticky-name": "x y"}, "sticky"),
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
