"""Replicas of 1,000 models, asked for as autoscalers do: one by one, five at once, and all in one list.

The listener with its TLS, its check of the client certificate and its authorisation (answered at once, and cached), by
a client in the same process; the floor is a bare Starlette that answers as many bytes behind the same TLS.
"""

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.support.report import Figure, at_most, median, plain
from istio_templates.facts import Manifest
from k8s_manager.api.listener.server import serve_over_tls
from k8s_manager.external_metrics.access_review import AccessReviews
from k8s_manager.external_metrics.app import ExternalMetricsApp
from k8s_manager.external_metrics.listener import context_of
from k8s_manager.external_metrics.peer_connection import PeerConnection
from k8s_manager.external_metrics.replica_metric import ReplicaMetric
from k8s_manager.external_metrics.request_header import RequestHeaderTrust
from k8s_manager.external_metrics.tls_material import renewed
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.settings import ConnectionBounds
from tests.support.api_server_proof import CONTROLLER, NAME, bundle, client_context
from tests.support.decisions import decided, watched
from tests.support.standalone import free_port
from tests.support.waiting import until

MODELS, WORKERS, LISTS, BOUND_MS = 1_000, 5, 50, 100
PATH = "/apis/external.metrics.k8s.io/v1beta1/namespaces/search/tidegate_replicas"
HOST = "tidegate.tidegate-system.svc"


class AllowingClient:
    """An API server that lets every caller read."""

    async def create(self, review: Manifest) -> Manifest:
        """Answer a review."""
        return {**review, "status": {"allowed": True}}


async def run(quick: bool) -> list[Figure]:
    """Ask both in turn, over connections that stay open."""
    lists = LISTS // 10 if quick else LISTS
    with tempfile.TemporaryDirectory() as folder:
        authority, clock = trustme.CA(), SystemClock()
        material = renewed(None, HOST, "", clock.utc())
        trust = RequestHeaderTrust(bundle(authority), frozenset({NAME}))
        client: Any = AllowingClient()
        app = ExternalMetricsApp(ReplicaMetric(_store(clock)), AccessReviews(client, clock), lambda: trust, clock)
        served, asking = (
            context_of(material, trust.authorities),
            client_context(material.bundle, authority, Path(folder)),
        )
        async with _asked(app, served, asking) as ours:
            one, all_of_them = await ours(_one(0)), await ours({})
            mine = await _questions(ours), await _lists(ours, lists)
        async with _asked(_bare(one), served, asking) as floor:
            bare_one = await _questions(floor)
        async with _asked(_bare(all_of_them), served, asking) as floor:
            bare_all = await _lists(floor, lists)
    (each, seconds), (bare_each, bare_seconds) = mine[0], bare_one
    found = all_of_them.count(b"metricName")
    return [
        Figure("values in the list of all", str(found), f"{MODELS}", found == MODELS, count=True),
        at_most(f"median of one question of {MODELS}", 1000 * each, BOUND_MS, " ms"),
        plain("the same of a bare Starlette", f"{1000 * bare_each:.2f} ms; ratio {each / bare_each:.2f}"),
        plain(f"all {MODELS} questions, {WORKERS} at once", f"{seconds:.2f} s; bare {bare_seconds:.2f} s"),
        at_most(f"median of the list of {MODELS}, {len(all_of_them) // 1024} KiB", 1000 * mine[1], BOUND_MS, " ms"),
        plain("the same of a bare Starlette", f"{1000 * bare_all:.2f} ms; ratio {mine[1] / bare_all:.2f}"),
    ]


def _store(clock: SystemClock) -> Store:
    store = Store(("Model", "Deployment", "HorizontalPodAutoscaler", "ScaledObject"), clock)
    for number in range(MODELS):
        name = f"model-{number}"
        store.put(decided(name, number % 40 + 1))
        store.put(watched("Deployment", f"{name}-v1", "search", status={"replicas": number % 40}))
        store.put(watched("HorizontalPodAutoscaler", f"{name}-v1", "search", spec={"minReplicas": 1}))
    return store


def _one(number: int) -> dict[str, str]:
    return {"labelSelector": f"tidegate.dev/model=model-{number},tidegate.dev/version=v1"}


def _bare(body: bytes) -> ASGIApp:
    async def answer(_request: Any) -> Response:
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route(PATH, answer)])


@contextlib.asynccontextmanager
async def _asked(app: ASGIApp, served: ssl.SSLContext, asking: ssl.SSLContext) -> AsyncIterator[Any]:
    """Serve an application and yield what asks it."""
    port, stop, taken = free_port(), asyncio.Event(), []
    listen = ("127.0.0.1", port)
    serving = asyncio.create_task(
        serve_over_tls(app, listen, stop, served, ConnectionBounds(), PeerConnection, taken.append)
    )
    await until(lambda: taken, what="the listener")
    connector, headers = aiohttp.TCPConnector(ssl=asking), {"X-Remote-User": CONTROLLER}
    async with aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=connector, headers=headers) as session:

        async def ask(query: dict[str, str]) -> bytes:
            async with session.get(PATH, params=query, server_hostname=HOST) as answer:
                assert answer.status == 200
                return await answer.read()

        yield ask
    stop.set()
    await serving


async def _questions(ask: Any) -> tuple[float, float]:
    """Return the median of one question after the other, and the seconds for all of them, some at once."""
    took = []
    for number in range(MODELS):
        began = time.perf_counter()
        await ask(_one(number))
        took.append(time.perf_counter() - began)
    places = asyncio.Semaphore(WORKERS)

    async def within(number: int) -> None:
        async with places:
            await ask(_one(number))

    began = time.perf_counter()
    await asyncio.gather(*map(within, range(MODELS)))
    return median(took), time.perf_counter() - began


async def _lists(ask: Any, times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await ask({})
        took.append(time.perf_counter() - began)
    return median(took)
