"""What an HPA reads: the decided number of its version, in Kubernetes' form."""

import pytest

from tests.k8s_manager.external_metrics.conftest import VALUES
from tests.support.decisions import decided, watched

BOTH = "tidegate.dev/model=ranker,tidegate.dev/version=v1"
ROOT = "/apis/external.metrics.k8s.io/v1beta1"


async def values(metrics, session, selector: str = "", path: str = VALUES) -> dict[str, str]:
    status, body = await metrics.ask(session, path, labelSelector=selector)
    assert status == 200, body
    return {item["metricLabels"]["tidegate.dev/model"]: item["value"] for item in body["items"]}


async def test_the_answer_is_an_external_metric_value_list(metrics):
    metrics.decide(replicas=5)
    async with metrics.session(metrics.authority) as session:
        status, body = await metrics.ask(session, labelSelector=BOTH)
    assert status == 200
    assert body == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "tidegate_replicas",
                "metricLabels": {"tidegate.dev/model": "ranker", "tidegate.dev/version": "v1"},
                "timestamp": "2026-11-30T07:00:00Z",
                "value": "5",
            }
        ],
    }


SELECTORS = {
    "": {"ranker", "scorer"},
    BOTH: {"ranker"},
    "tidegate.dev/model in (ranker, scorer)": {"ranker", "scorer"},
    "tidegate.dev/model in (scorer),tidegate.dev/version": {"scorer"},
    "tidegate.dev/model notin (scorer)": {"ranker"},
    "tidegate.dev/model!=ranker": {"scorer"},
    "tidegate.dev/model==ranker,!canary": {"ranker"},
    "canary": set(),
    "tidegate.dev/version in (v2,v3)": set(),
    "tidegate.dev/model=ranker,tidegate.dev/model=scorer": set(),
}


@pytest.mark.parametrize("selector", SELECTORS)
async def test_a_selector_selects_by_model_and_version(metrics, selector):
    metrics.decide("ranker")
    metrics.decide("scorer")
    metrics.decide("theirs", namespace="other")
    async with metrics.session(metrics.authority) as session:
        assert set(await values(metrics, session, selector)) == SELECTORS[selector]


@pytest.mark.parametrize("selector", ["a=b=c", "a in b", "a,,b", "a,", "a in (b", "=b", "!", "a b", "a>1", "x" * 9000])
async def test_a_broken_selector_is_refused(metrics, selector):
    async with metrics.session(metrics.authority) as session:
        status, body = await metrics.ask(session, labelSelector=selector)
    assert status == 400 and body["kind"] == "Status" and body["reason"] == "BadRequest"


async def test_without_a_decision_the_list_is_empty(metrics):
    metrics.store.put(
        watched("Model", "ranker", "search", spec={"versions": [{"name": "v1", "autoscale": {"max": 3}}]})
    )
    async with metrics.session(metrics.authority) as session:
        assert await values(metrics, session, BOTH) == {}


ODD = [
    {"replicas": "5"}, {"replicas": -1}, {"replicas": True}, {"at": "yesterday"}, {"at": "2026-11-30T07:00:00"},
    {"version": None}, {"version": "v9"},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_what_others_wrote_into_a_status_is_no_decision(metrics, odd):
    model = decided("ranker", 5)
    model["status"]["autoscale"][0] |= odd
    metrics.store.put(model)
    metrics.decide("scorer")
    async with metrics.session(metrics.authority) as session:
        assert set(await values(metrics, session)) == {"scorer"}


async def test_the_value_takes_the_tolerance_of_the_autoscaler_into_account(metrics):
    metrics.decide(replicas=21)
    metrics.store.put(watched("Deployment", "ranker-v1", "search", status={"replicas": 20}))
    async with metrics.session(metrics.authority) as session:
        assert await values(metrics, session, BOTH) == {"ranker": "23"}
        metrics.decide(replicas=21, holds=["Quota"])
        assert await values(metrics, session, BOTH) == {"ranker": "21"}
        metrics.decide(replicas=19)
        assert await values(metrics, session, BOTH) == {"ranker": "19"}
        metrics.store.put(watched("HorizontalPodAutoscaler", "ranker-v1", "search", spec={"minReplicas": 19}))
        assert await values(metrics, session, BOTH) == {"ranker": "17"}


async def test_another_metric_or_path_is_not_there(metrics):
    async with metrics.session(metrics.authority) as session:
        for path in (f"{ROOT}/namespaces/search/rps", f"{ROOT}/nodes", "/healthz", f"{VALUES}/x"):
            status, body = await metrics.ask(session, path)
            assert (status, body["kind"], body["reason"]) == (404, "Status", "NotFound")


async def test_metrics_can_only_be_read(metrics):
    async with (
        metrics.session(metrics.authority) as session,
        session.delete(
            VALUES, headers={"X-Remote-User": "x"}, server_hostname="tidegate.tidegate-system.svc"
        ) as answer,
    ):
        assert answer.status == 405


async def test_discovery_is_as_the_aggregator_and_kubectl_read_it(metrics):
    async with metrics.session(metrics.authority) as session:
        _, groups = await metrics.ask(session, "/apis", user="system:kube-aggregator")
        _, group = await metrics.ask(session, "/apis/external.metrics.k8s.io")
        _, resources = await metrics.ask(session, ROOT)
    assert groups["kind"] == "APIGroupList" and groups["groups"][0]["name"] == group["name"]
    assert group["kind"] == "APIGroup"
    assert group["preferredVersion"] == {"groupVersion": "external.metrics.k8s.io/v1beta1", "version": "v1beta1"}
    assert resources["kind"] == "APIResourceList"
    assert resources["groupVersion"] == "external.metrics.k8s.io/v1beta1"
    (metric,) = resources["resources"]
    assert (metric["name"], metric["namespaced"], metric["verbs"]) == ("tidegate_replicas", True, ["get"])
    assert not metrics.client.reviews


async def test_a_thousand_models_are_told_apart(metrics):
    for number in range(1_000):
        metrics.decide(f"model-{number}", replicas=number % 40 + 1)
    async with metrics.session(metrics.authority) as session:
        assert len(await values(metrics, session)) == 1_000
        for number in (0, 500, 999):
            found = await values(metrics, session, f"tidegate.dev/model=model-{number},tidegate.dev/version=v1")
            assert found == {f"model-{number}": str(number % 40 + 1)}
    assert len(metrics.client.reviews) == 1
