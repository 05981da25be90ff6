"""The REST API: every wrong input gets its code and a problem that names the field; nothing is written."""

import asyncio
import dataclasses
import itertools
import json

import pytest

from istio_templates.facts import ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.api.concurrency.preconditions import etag
from k8s_manager.runtime.settings import Settings
from tests.features.conftest import make_search
from tests.support.documents import gateway, labels, model, tenant
from tests.support.fleet import SETTINGS, running_fleet
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"
OTHER = "/v1/tenants/search/models/other"


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        await fleet.apply(tenant("ads"))
        await until(lambda: fleet.get("Gateway", "tenant-ads", "inference-gw"))
        calls.fleet = fleet
        yield calls


def spec(document: dict) -> dict:
    return {"spec": document["spec"]}


def route(**changes) -> dict:
    base = {"host": "search.models.example.com", "path": "/other", "port": 8080}
    return spec(model("other", routes=[{**base, **changes}]))


def limited(**changes) -> dict:
    return spec(model("other", routes=route()["spec"]["routes"], rateLimit={"perReplicaQps": 20, **changes}))


def pods(**spec) -> dict:
    workload = {"replicas": 1, "image": "example.com/other:1", "podTemplate": {"spec": spec}}
    return {"spec": {**route()["spec"], "versions": [{"name": "v1", "workload": workload}]}}


def both(**container) -> dict:
    body = pods(containers=[{"name": "model", **container}])
    said = {"env": [{"name": "LOG", "value": "debug"}], "resources": {"limits": {"memory": "20G"}}}
    body["spec"]["versions"][0]["workload"].update(said)
    return body


TRIED = {"rateLimit": {"perReplicaQps": 20}, "replicas": [{"count": 2}], "gateways": [{"count": 2}]}
LONG = [{"time": 0, "requests": 1}, {"time": 10**9, "requests": 1}]
BAD = [
    ("an unknown kind", "PUT", OTHER, {**model("other"), "kind": "Modle"}, 422, "kind", "Model"),
    ("an unknown field", "PUT", OTHER, route(protocl="grpc"), 422, "spec.routes[0].protocl", "did you mean protocol"),
    ("a wrong type", "PUT", OTHER, route(port="8080"), 422, "spec.routes[0].port", "integer"),
    ("a path without /", "PUT", OTHER, route(path="other"), 422, "spec.routes[0].path", "write /other"),
    ("control characters in a path", "PUT", OTHER, route(path="/a\r\nb"), 422, "spec.routes[0].path", "characters"),
    ("control characters in a header", "PUT", OTHER, route(headers={"x-a": "b\r\nc"}), 422, "spec.routes[0].headers.x-a", "one line"),
    ("a header of the gateway", "PUT", OTHER, route(headers={"x-envoy-a": "b"}), 422, "spec.routes[0].headers.x-envoy-a", "gateway"),
    ("a path that equals another's", "PUT", OTHER, route(path="/v2/models/ranker"), 409, "spec.routes[0].path", "search/ranker"),
    ("a path that contains another's", "PUT", OTHER, route(path="/v2/models"), 409, "spec.routes[0].path", "search/ranker"),
    ("a path within another's", "PUT", OTHER, route(path="/v2/models/ranker/x"), 409, "spec.routes[0].path", "search/ranker"),
    ("a host of another tenant", "PUT", OTHER, route(host="ads.models.example.com"), 409, "spec.routes[0].host", "another tenant"),
    ("a host of nobody", "PUT", OTHER, route(host="x.example.com"), 422, "spec.routes[0].host", "add it to spec.hosts of the Tenant"),
    ("negative replicas", "PUT", f"{RANKER}/versions/v1/scale", {"replicas": -1}, 422, "replicas", "from 0 on"),
    ("a negative rate", "PUT", OTHER, limited(perReplicaQps=-5), 422, "spec.rateLimit.perReplicaQps", "greater than or equal"),
    ("a duration without a unit", "PUT", OTHER, limited(burst=5), 422, "spec.rateLimit.burst", "with its unit"),
    ("a duration text without a unit", "PUT", OTHER, limited(burst="5"), 422, "spec.rateLimit.burst", "with its unit"),
    ("a floor above the ceiling", "PUT", OTHER, limited(floor=9, ceiling=3), 422, "spec.rateLimit", "above ceiling"),
    (
        "traffic to no version",
        "PUT",
        OTHER,
        {"spec": {**route()["spec"], "traffic": [{"version": "v7", "weight": 100}]}},
        422,
        "spec.traffic",
        "versions are v1",
    ),
    (
        "traffic that does not sum to 100",
        "PUT",
        OTHER,
        {"spec": {**route()["spec"], "traffic": [{"version": "v1", "weight": 90}]}},
        422,
        "spec.traffic",
        "sum to 90",
    ),
    ("a tenant that is not there", "PUT", "/v1/tenants/nobody/models/other", route(), 404, None, "Tenant nobody"),
    ("a gateway that is not there", "PUT", "/v1/tenants/new", spec(tenant("new", gateway={"name": "no"})), 422, "spec.gateway.name", "shared"),
    ("kube-system", "PUT", "/v1/tenants/new", spec(tenant("new", namespace="kube-system")), 422, "spec.namespace", "is reserved for the cluster"),
    ("a gateway's namespace", "PUT", "/v1/tenants/new", spec(tenant("new", namespace="inference-gw")), 409, "spec.namespace", "gateway"),
    ("another tenant's namespace", "PUT", "/v1/tenants/new", spec(tenant("new", namespace="ads")), 409, "spec.namespace", "tenant ads"),
    ("an unlabelled namespace", "PUT", "/v1/tenants/new", spec(tenant("new", namespace="theirs")), 409, "spec.namespace", "label this one"),
    ("a name that is no DNS label", "PUT", "/v1/tenants/New_Tenant", spec(tenant("new")), 422, "metadata.name", "DNS label"),
    ("another name in the body", "PUT", OTHER, model("else"), 422, "metadata.name", "the path says"),
    ("broken JSON", "PUT", OTHER, '{"spec": ', 400, None, "broken JSON"),
    ("a list", "PUT", OTHER, "[]", 422, "", "one document"),
    ("a body of 10 MB", "PUT", OTHER, "x" * 10_000_000, 413, None, "1048576"),
    ("a patch with an unknown field", "PATCH", RANKER, {"spec": {"trafic": []}}, 422, "spec.trafic", "did you mean traffic"),
    ("a gateway over the same pods", "PUT", "/v1/gateways/twin", spec(gateway("shared")), 409, "spec.selector", "gateway shared"),
    ("a gateway in a tenant's namespace", "PUT", "/v1/gateways/new", spec(gateway("new", "search")), 409, "spec.namespace", "tenant search"),
    ("a gateway in use is deleted", "DELETE", "/v1/gateways/shared", None, 409, "", "cascade=true"),
    ("a tenant with models is deleted", "DELETE", "/v1/tenants/search", None, 409, "", "ranker"),
    ("a model that is not there", "GET", OTHER, None, 404, None, "there is no Model search/other"),
    ("a version that is not there", "PUT", f"{RANKER}/versions/v9/scale", {"replicas": 1}, 404, None, "versions are v1"),
    ("a path that is not there", "GET", "/v1/nothing", None, 404, None, "Not Found"),
    ("a pod in its node's network", "PUT", OTHER, pods(hostNetwork=True), 422, "spec.versions[0].workload.podTemplate.spec.hostNetwork", "not allowed for pods of tenants; remove it"),
    ("a variable said twice", "PUT", OTHER, both(env=[{"name": "LOG", "value": "info"}]), 422, "spec.versions[0].workload.env[0]", "spec.versions[0].workload.podTemplate.spec.containers[0].env[0] disagree about LOG"),
    ("an amount said twice", "PUT", OTHER, both(resources={"limits": {"memory": "1G"}}), 422, "spec.versions[0].workload.resources.limits.memory", "podTemplate.spec.containers[0].resources.limits.memory disagree about"),
    ("two images", "PUT", OTHER, both(image="example.com/another:1"), 422, "spec.versions[0].workload.image", "give it in one of the two"),
    ("a pod with another's rights", "PUT", OTHER, pods(serviceAccountName="tidegate"), 422, "spec.versions[0].workload.podTemplate.spec.serviceAccountName", "choose one of: default"),
    ("labels that are no texts", "PUT", OTHER, {**route(), "metadata": {"labels": {"a": 1}}}, 422, "metadata.labels", "texts"),
    ("annotations that are a list", "PUT", OTHER, {**route(), "metadata": {"annotations": ["a"]}}, 422, "metadata.annotations", "texts"),
    ("a method that is not there", "POST", "/v1/tenants", {}, 405, None, "Method Not Allowed"),
]  # fmt: skip


async def test_every_wrong_input_is_named_with_its_remedy_and_writes_nothing(rest):
    fleet = rest.fleet
    await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}})
    before = await fleet.settled()
    for what, method, path, body, status, field, words in BAD:
        got, problem, headers = await rest.full(method, path, body)
        assert got == status, (what, got, problem)
        assert headers["Content-Type"] == "application/problem+json", what
        assert problem["status"] == status and problem["title"] and problem["type"].startswith("https://"), what
        if field is not None:
            assert field in [found["field"] for found in problem["problems"]], (what, problem)
        assert words in problem["detail"], (what, problem)
    assert await fleet.settled() == before


SPELLINGS = [
    "search.models.example.com",
    "SEARCH.Models.Example.COM",
    "search.models.example.com.",
    "*.models.example.com",
    "*.example.com",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_a_host_of_another_tenant_is_refused_in_every_spelling(rest, host):
    status, problem = await rest.call("PUT", "/v1/tenants/thief", spec(tenant("thief", host=host)))
    assert (status, problem["problems"][0]["field"]) == (409, "spec.hosts[0].name")
    assert "tenant" in problem["detail"]


async def test_a_host_with_a_port_is_refused(rest):
    status, problem = await rest.call(
        "PUT", "/v1/tenants/thief", spec(tenant("thief", host="search.models.example.com:8080"))
    )
    assert status == 422 and "port" in problem["detail"]


async def test_a_host_in_unicode_and_in_punycode_is_one_host(rest):
    status, made = await rest.call("PUT", "/v1/tenants/cafe", spec(tenant("cafe", host="café.example.com")))
    assert status == 201, made
    status, problem = await rest.call("PUT", "/v1/tenants/thief", spec(tenant("thief", host="xn--caf-dma.example.com")))
    assert status == 409 and "tenant cafe" in problem["detail"]


async def test_broken_yaml_is_named_by_line_and_column(rest):
    status, problem = await rest.call("PUT", OTHER, "spec:\n  routes: [\n", {"Content-Type": "application/yaml"})
    assert status == 400 and "line" in problem["detail"]


async def test_a_key_that_stands_twice_is_refused(rest):
    text = "spec:\n  routes: []\nspec:\n  routes: []\n"
    status, problem = await rest.call("PUT", OTHER, text, {"Content-Type": "application/yaml"})
    assert status == 400 and "stands twice" in problem["detail"]


@pytest.mark.parametrize(("form", "text"), [("json", '{"spec": {}, "spec": {}}'), ("json", '{"spec": {"a": 1, "\\u0061": 2}}'),
                                            ("yaml", "yes: 1\ntrue: 2\n"), ("yaml", "1: a\n'1': b\n")])  # fmt: skip
async def test_keys_that_are_equal_once_they_are_read_are_refused(rest, form: str, text: str):
    status, problem = await rest.call("PUT", OTHER, text, {"Content-Type": f"application/{form}"})
    assert status == 400 and "stands twice" in problem["detail"]


async def test_a_document_as_the_cluster_has_it_is_taken_back(rest):
    """With status, what the server made, a byte order mark, and a variable that kubectl prints without quotes."""
    live = await rest.fleet.get("Model", "ranker", "search")
    live = {**live, "status": {"conditions": []}}
    assert live["metadata"]["uid"] and live["metadata"]["resourceVersion"]
    text = "\ufeff" + yaml_text([live]).replace(
        "example.com/ranker:1", "example.com/ranker:1\n      env: [{name: A, value: =}]"
    )
    status, said = await rest.call("PUT", RANKER, text.encode(), {"Content-Type": "application/yaml", "If-Match": "*"})
    assert status == 200, said
    assert said["spec"]["versions"][0]["workload"]["env"] == [{"name": "A", "value": "="}]
    status, said = await rest.call(
        "PUT",
        RANKER,
        b"\xef\xbb\xbf" + json.dumps(live).encode(),
        {"Content-Type": "application/json", "If-Match": "*"},
    )
    assert status == 200, said


async def test_documents_of_one_call_may_stand_in_a_list(rest):
    items = {"apiVersion": "v1", "kind": "List", "items": [model("other"), model("third")]}
    status, said = await rest.call("POST", "/v1/plan", {"documents": [items]})
    assert status == 200 and said["documents"] == ["Model search/other", "Model search/third"], said


async def test_a_model_behind_a_slash_alone_may_stand_behind_the_others(rest):
    status, made = await rest.call("PUT", OTHER, route(path="/"))
    assert status == 201, made


async def test_no_path_is_served_without_the_token(rest):
    paths = (await rest.call("GET", "/openapi.json"))[1]["paths"]
    guarded = [(method, path) for path, operations in paths.items() if path.startswith("/v1") for method in operations]
    assert len(guarded) >= 15
    for method, path in guarded:
        place = (
            path.replace("{tenant}", "search")
            .replace("{name}", "ranker")
            .replace("{model}", "ranker")
            .replace("{version}", "v1")
        )
        for token in ("", "Bearer wrong", "Basic b2YtdGhlLXRlc3Rz"):
            status, problem, headers = await rest.full(method.upper(), place, None, {"Authorization": token})
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), (method, path, problem)


async def test_what_is_put_is_read_back_and_serves(rest):
    status, made = await rest.call("PUT", OTHER, route())
    assert (status, made["metadata"]["namespace"]) == (201, "search")
    await until(lambda: rest.fleet.get("VirtualService", "other", "search"))
    status, read, headers = await rest.full("GET", OTHER)
    assert (status, read["spec"]) == (200, made["spec"])
    assert headers["ETag"] == etag(read)
    listed = await rest.call("GET", "/v1/tenants/search/models")
    assert [item["metadata"]["name"] for item in listed[1]["items"]] == ["other", "ranker"]


async def test_a_write_against_an_older_version_is_refused(rest):
    _, read = await rest.call("GET", RANKER)
    status, _ = await rest.call("PUT", RANKER, {"spec": read["spec"]}, {"If-Match": '"1"'})
    assert status == 412


async def test_a_dry_run_tells_what_would_change_and_writes_nothing(rest):
    before = await rest.fleet.settled()
    status, plan = await rest.call("PUT", f"{OTHER}?dryRun=true", route())
    assert status == 200
    assert [(c["operation"], c["object"]) for c in plan["changes"]] == [
        ("create", "Deployment search/other-v1"),
        ("create", "DestinationRule search/other"),
        ("create", "PodDisruptionBudget search/other-v1"),
        ("create", "Service search/other"),
        ("create", "VirtualService search/other"),
    ]
    status, plan = await rest.call(
        "PATCH", f"{RANKER}?dryRun=true", {"spec": {"traffic": [{"version": "v1", "weight": 100}]}}
    )
    assert (status, plan["changes"]) == (200, [])
    scaled = await rest.call("PUT", f"{RANKER}/versions/v1/scale?dryRun=true", {"replicas": 5})
    assert "+  replicas: 5" in scaled[1]["changes"][0]["diff"]
    status, plan = await rest.call("DELETE", "/v1/tenants/search?dryRun=true&cascade=true")
    assert plan["documents"] == ["Model search/ranker", "Tenant search"]
    assert await rest.fleet.settled() == before


async def test_scaling_changes_the_deployment(rest):
    status, _ = await rest.call("PUT", f"{RANKER}/versions/v1/scale", {"replicas": 0})
    assert status == 200

    async def scaled():
        return (await rest.fleet.get("Deployment", "ranker-v1", "search"))["spec"]["replicas"] == 0

    await until(scaled)


async def test_a_tenant_is_deleted_with_its_models_if_that_is_asked_for(rest):
    status, answer = await rest.call("DELETE", "/v1/tenants/search?cascade=true")
    assert (status, answer["deleted"]) == (202, ["Model search/ranker", "Tenant search"])

    async def gone():
        return await rest.fleet.get("Tenant", "search") is None and await rest.fleet.get("Namespace", "search") is None

    await until(gone)


async def test_of_two_claims_at_once_one_wins(rest):
    claims = [rest.call("PUT", f"/v1/tenants/t{n}", spec(tenant(f"t{n}", host="new.example.com"))) for n in range(8)]
    answers = sorted(status for status, _ in await asyncio.gather(*claims))
    assert answers == [201] + [409] * 7


async def test_the_limit_is_explained_in_figures_and_words(rest):
    await rest.fleet.pod("inference-gw", {"istio": "shared"})
    await rest.fleet.pod("inference-gw", {"istio": "shared"}, ready=False)
    await rest.fleet.pod("search", labels())

    async def limit():
        status, answer = await rest.call("GET", f"{RANKER}/limit")
        return answer if status == 200 and answer["total"] == 20 else None

    answer = await until(limit)
    assert (answer["perGateway"]["rate"], answer["gateways"], answer["reason"]) == (10, 2, "Capacity")
    assert answer["inputs"] == [{"version": "v1", "ready": 1, "perReplicaQps": 20, "share": 1}]
    _, why = await rest.call("GET", f"{RANKER}/explain")
    assert why["formula"] == "1 x 20 / 1 = 20/s, over 2 gateway pods"
    assert "Together they can serve 20/s" in " ".join(why["explanation"])
    assert "A gateway pod's share is 10 requests each second, exactly." in why["explanation"]
    assert why["sources"]["replicas"]["asOf"] is not None
    await rest.fleet.pod("inference-gw", {"istio": "shared"})
    said = "A gateway pod's share is 20 requests each 3 s, exactly."
    await until(lambda: _explained(rest, said), what="a third of it on each pod")
    events = (await rest.call("GET", "/v1/events?follow=false"))[1]["items"]
    assert any(event["type"] == "limit" and "20/s over 2 gateway pods" in event["message"] for event in events)


async def _explained(rest, sentence):
    _, why = await rest.call("GET", f"{RANKER}/explain")
    return sentence in why["explanation"]


async def test_a_limit_is_tried_against_a_trace(rest):
    settings = {"rateLimit": {"perReplicaQps": 20}, "replicas": 2, "gateways": 2}
    body = {"settings": settings, "trace": [{"time": 0, "requests": 600}, {"time": 5, "requests": 600}]}
    status, told = await rest.call("POST", "/v1/simulate", body)
    assert status == 200
    assert (told["offered"], told["admitted"], told["refused"]) == (1200, 402, 798)
    assert len(told["series"]) == 10


@pytest.mark.parametrize(
    "body, field, said",
    [
        ({"trace": [], "more": 1}, "more", "is unknown"),
        ({"settings": {}, "trace": "a"}, "trace", "is no list of rows"),
        ({"settings": {}, "trace": [{"time": 0, "requests": 1}]}, "rateLimit", "is missing"),
        ({"settings": {}, "trace": [{"time": 0}]}, "trace[0]", "requests is missing"),
        ({"settings": TRIED, "trace": [{"time": 0, "requests": 10**6}]}, "trace", "at most 200000"),
        ({"settings": {**TRIED, "slotRewrites": 60}, "trace": LONG}, "trace", "at most 200000"),
        ({"settings": TRIED, "trace": [{"time": "1e-999999999", "requests": -1}]}, "trace[0]", "requests -1"),
        (
            {"settings": {**TRIED, "rateLimit": {"perReplicaQps": 2, "mode": "off"}}, "trace": LONG},
            "rateLimit",
            "limits nothing",
        ),
    ],
)
async def test_a_simulation_that_makes_no_sense_is_refused_with_the_field(rest, body, field, said):
    status, problem = await rest.call("POST", "/v1/simulate", body)
    assert status == 422
    assert any(p["field"] == field and said in p["message"] for p in problem["problems"]), problem


async def test_health_readiness_and_metrics_are_open(rest):
    assert (await rest.call("GET", "/healthz", headers={"Authorization": ""}))[0] == 200
    assert (await rest.call("GET", "/readyz", headers={"Authorization": ""}))[0] == 200
    metrics = (await rest.call("GET", "/metrics"))[1]
    assert "tidegate_rendered_total" in metrics and "tidegate_ratelimit_target_rps" in metrics


async def test_an_api_that_has_not_read_everything_says_so():
    async with running_fleet() as fleet:
        fleet.api._token = "another"
        manager = fleet.manager()
        starting = asyncio.create_task(manager.__aenter__())
        await asyncio.sleep(0.3)
        assert not starting.done()
        fleet.api._token = None
        await starting
        await manager.__aexit__(None, None, None)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_change_is_not_refused_because_the_status_was_written_meanwhile(fleet, rest, method):
    key, stop = ObjectKey("Model", "search", "ranker"), asyncio.Event()

    async def tell() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            await fleet.client.merge(key, {"status": {"url": str(number)}}, "status")
            await asyncio.sleep(0.03)  # far more often than any status is written

    telling = asyncio.create_task(tell())
    answers = []
    for number in range(20):
        body = spec(model(rateLimit={"perReplicaQps": 20 + number}))
        answers.append((await rest.call(method, RANKER, body))[0])
    stop.set()
    await telling
    assert set(answers) == {200}


async def test_a_blind_overwrite_is_refused_and_of_200_writers_who_saw_one_version_one_wins(rest):
    status, problem = await rest.call("PUT", RANKER, spec(model()), {})
    assert status == 428 and "If-Match" in problem["detail"]
    _, read, headers = await rest.full("GET", RANKER)

    async def write(rate: int) -> int:
        body = {"spec": {**read["spec"], "rateLimit": {"perReplicaQps": rate}}}
        return (await rest.call("PUT", RANKER, body, {"If-Match": headers["ETag"]}))[0]

    for turn in range(1, 4):
        answers = await asyncio.gather(*(write(1000 * turn + number) for number in range(200)))
        assert sorted(answers) == [200] + [412] * 199
        _, read, headers = await rest.full("GET", RANKER)


async def test_of_writers_at_two_managers_one_wins_too(fleet):
    async with fleet.manager() as one, fleet.manager() as two, fleet.rest(one) as first, fleet.rest(two) as second:
        await make_search(fleet)
        for _ in range(5):
            _, read, headers = await first.full("GET", RANKER)
            await until(lambda tag=headers["ETag"]: _same(second, tag), what="the other manager seeing it")

            async def write(rest, number: int, read=read, tag=headers["ETag"]) -> int:
                body = {
                    "spec": {
                        **read["spec"],
                        "rateLimit": {"perReplicaQps": read["spec"]["rateLimit"]["perReplicaQps"] + number},
                    }
                }
                return (await rest.call("PUT", RANKER, body, {"If-Match": tag}))[0]

            answers = await asyncio.gather(
                *(write(rest, number) for number in range(1, 11) for rest in (first, second))
            )
            assert sorted(answers) == [200] + [412] * 19


async def _same(rest, tag: str) -> bool:
    return (await rest.full("GET", RANKER))[2]["ETag"] == tag


async def test_lists_come_in_pages_and_by_their_labels(rest):
    for name in ("a", "b", "c"):
        body = {
            **spec(model(name, routes=[{"host": "search.models.example.com", "path": f"/{name}", "port": 8080}])),
            "metadata": {"labels": {"team": name}},
        }
        assert (await rest.call("PUT", f"/v1/tenants/search/models/{name}", body))[0] == 201
    path, seen = "/v1/tenants/search/models?limit=2", []
    _, page = await rest.call("GET", path)
    seen += page["items"]
    _, page = await rest.call("GET", f"{path}&continue={page['continue']}")
    assert [obj["metadata"]["name"] for obj in seen + page["items"]] == [
        "a",
        "b",
        "c",
        "ranker",
    ] and "continue" not in page
    _, page = await rest.call("GET", "/v1/tenants/search/models?labelSelector=team=b")
    assert [obj["metadata"]["name"] for obj in page["items"]] == ["b"]
    for wrong in ("limit=0", "limit=501", "limit=x", "continue=%00", "labelSelector=x"):
        assert (await rest.call("GET", f"/v1/tenants/search/models?{wrong}"))[0] == 422, wrong


async def test_yaml_that_would_take_for_ever_is_refused_at_once(rest):
    yaml_type = {"Content-Type": "application/yaml"}
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
    )
    status, problem = await rest.call("POST", "/v1/simulate", bomb, yaml_type)
    assert status == 400 and "aliases are not taken" in problem["detail"]
    many = "".join(f"k{number}: 1\n" for number in range(40_000))  # each was once compared with each
    status, problem = await rest.call("POST", "/v1/simulate", many, yaml_type)
    assert status == 422 and "is unknown" in problem["detail"]
    status, problem = await rest.call("POST", "/v1/simulate", "a: 1\nb: 2\na: 3\n", yaml_type)
    assert status == 400 and "stands twice" in problem["detail"]


async def test_a_delete_of_another_version_than_was_seen_is_refused(rest):
    _, _, headers = await rest.full("GET", RANKER)
    await rest.call("PATCH", RANKER, {"spec": {"rateLimit": {"perReplicaQps": 77}}})
    status, _ = await rest.call("DELETE", RANKER, None, {"If-Match": headers["ETag"]})
    assert status == 412
    scale = f"{RANKER}/versions/v1/scale"
    assert (await rest.call("PUT", scale, {"replicas": 3}, {"If-Match": headers["ETag"]}))[0] == 412
    _, _, headers = await rest.full("GET", RANKER)
    assert (await rest.call("DELETE", RANKER, None, {"If-Match": headers["ETag"]}))[0] == 202


async def test_of_many_claims_for_one_host_that_come_at_once_one_wins(rest):
    async def claim(number: int) -> int:
        body = {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": "wanted.example.com"}]}}
        return (await rest.call("PUT", f"/v1/tenants/claimer-{number}", body))[0]

    assert sorted(await asyncio.gather(*map(claim, range(50)))) == [201] + [409] * 49


async def test_of_claims_at_two_managers_one_wins_and_the_others_are_told(fleet):
    """Neither manager knows yet what the other writes in the same moment: what is stored is judged by its age."""

    def replica(identity: str) -> Settings:
        """One of two that agree on who leads: two that both led would both tell their own claimer yes at first."""
        return dataclasses.replace(SETTINGS, lease=("default", "tidegate"), identity=identity)

    async with (
        fleet.manager(replica("one")) as one,
        fleet.manager(replica("two")) as two,
        fleet.rest(one) as first,
        fleet.rest(two) as second,
    ):
        await make_search(fleet)
        for turn in range(3):
            names, host = [f"claimer-{turn}-{n}" for n in range(10)], f"wanted-{turn}.example.com"
            body = {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": host}]}}
            calls = [(first, second)[n % 2].call("PUT", f"/v1/tenants/{name}", body) for n, name in enumerate(names)]
            answers = dict(zip(names, await asyncio.gather(*calls), strict=True))
            stored = [name for name, (status, _) in answers.items() if status == 201]
            assert 1 <= len(stored) <= 2 and {status for status, _ in answers.values()} <= {201, 409}

            async def judged(stored=stored) -> list[str] | None:
                found = [await fleet.condition("Tenant", name, "Accepted") for name in stored]
                states = [(condition.get("status"), condition.get("reason")) for condition in found]
                return states if all(status for status, _ in states) else None

            states = await until(judged, what="both being judged")
            assert sorted(states) == [("False", "Conflict")] * (len(stored) - 1) + [("True", "Accepted")]
            serving = [obj for name in stored if (obj := await fleet.get("Gateway", f"tenant-{name}", "inference-gw"))]
            assert len(serving) == 1 and serving[0]["spec"]["servers"][0]["hosts"][0].endswith(f"/{host}")
