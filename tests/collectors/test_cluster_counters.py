"""What gateway pods count of clusters, as Envoy's own and Istio's statistics name it."""

import aiohttp
import pytest
from aiohttp import web

from collectors import cluster_counters
from collectors.cluster_counters import ClusterCounts, increase, latency_classes, parse, summed
from tests.support.serving import serving

INF = float("inf")
V2 = "outbound|8080|v2|ranker.search.svc.cluster.local"
ENVOYS = """# TYPE envoy_cluster_upstream_rq_completed counter
envoy_cluster_search_svc_cluster_local_upstream_rq_completed{envoy_cluster_name="outbound|8080|v2|ranker"} 12
envoy_cluster_search_svc_cluster_local_internal_upstream_rq_completed{envoy_cluster_name="outbound|8080|v2|ranker"} 99
envoy_cluster_search_svc_cluster_local_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="outbound|8080|v2|ranker"} 3
envoy_cluster_search_svc_cluster_local_upstream_rq_xx{envoy_response_code_class="4",envoy_cluster_name="outbound|8080|v2|ranker"} 1
envoy_cluster_search_svc_cluster_local_upstream_rq_time_bucket{envoy_cluster_name="outbound|8080|v2|ranker",le="50"} 4
envoy_cluster_search_svc_cluster_local_upstream_rq_time_bucket{envoy_cluster_name="outbound|8080|v2|ranker",le="100"} 4
envoy_cluster_search_svc_cluster_local_upstream_rq_time_bucket{envoy_cluster_name="outbound|8080|v2|ranker",le="+Inf"} 9
envoy_cluster_search_svc_cluster_local_upstream_rq_retry{envoy_cluster_name="outbound|8080|v2|ranker"} 2
envoy_cluster_search_2_svc_cluster_local_upstream_rq_completed{envoy_cluster_name="outbound|8080|v2|ranker"} 50
"""
ISTIOS = f"""envoy_cluster_internal_upstream_rq_completed{{cluster_name="{V2};"}} 99
envoy_cluster_upstream_rq_completed{{cluster_name="{V2};"}} 12
envoy_cluster_upstream_rq{{response_code_class="5xx",cluster_name="{V2};"}} 3
envoy_cluster_upstream_rq{{response_code_class="4xx",cluster_name="{V2};"}} 1
envoy_cluster_upstream_rq_time_bucket{{cluster_name="{V2};",le="50"}} 4
envoy_cluster_upstream_rq_time_bucket{{cluster_name="{V2};",le="100"}} 4
envoy_cluster_upstream_rq_time_bucket{{cluster_name="{V2};",le="+Inf"}} 9
envoy_cluster_upstream_rq_retry{{cluster_name="{V2};"}} 2
envoy_cluster_upstream_rq_retry_success{{cluster_name="{V2};"}} 1
"""
COUNTS = ClusterCounts(12, 1, 3, {50: 4, 100: 4, INF: 9}, 2)


@pytest.mark.parametrize("text", [ENVOYS, ISTIOS, ISTIOS.replace(";", "")])
async def test_counters_are_read_under_the_names_of_envoy_and_of_istio(text):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    async with serving("/stats/prometheus", answer) as port, aiohttp.ClientSession() as session:
        assert await cluster_counters.read(session, "127.0.0.1", port, [V2]) == {V2: COUNTS}


def test_what_else_stands_there_is_no_counter():
    assert parse("") == parse("<html>") == parse("envoy_server_live{} 1\n") == {}


def test_an_increase_is_what_was_added_and_a_pod_that_began_again_has_added_all():
    after = ClusterCounts(20, 1, 5, {50: 10, 100: 10, INF: 17}, 6)
    assert increase(COUNTS, after) == ClusterCounts(8, 0, 2, {50: 6, 100: 6, INF: 8}, 4)
    assert increase(after, COUNTS) == COUNTS
    assert summed(COUNTS, increase(COUNTS, after)) == after


def test_latencies_lie_in_the_classes_between_edges():
    assert list(latency_classes(COUNTS.latency)) == [(0.0, 50, 4), (100, INF, 5)]


async def test_a_pod_is_asked_for_the_clusters_alone_and_may_not_answer():
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["filter"])
        return web.Response(text=ISTIOS.replace("|v2|", "|v3|") + ISTIOS)

    async with serving("/stats/prometheus", answer) as port, aiohttp.ClientSession() as session:
        assert await cluster_counters.read(session, "127.0.0.1", port, [V2]) == {V2: COUNTS}
        assert await cluster_counters.read(session, "127.0.0.2", port, [V2]) is None
    assert asked == ["(outbound.8080.v2.ranker.search.svc.cluster.local);?.upstream_rq_(completed|4xx|5xx|time|retry)"]
