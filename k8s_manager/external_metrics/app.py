"""The API as an ASGI application: who asks, whether it may, and the values of the metric.

Discovery is for every caller that the API server has proved, as it is for all API servers; values need the right to
list the metric in the namespace.
"""

import logging
import re
from collections.abc import Awaitable, Callable

import orjson
from cryptography import x509
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from istio_templates.errors import Invalid, TidegateError, Waiting
from istio_templates.facts import Manifest
from istio_templates.workloads.horizontal_pod_autoscaler import METRIC
from k8s_manager.autoscaling.api_service import GROUP, GROUP_VERSION
from k8s_manager.external_metrics import api_documents
from k8s_manager.external_metrics.access_review import AccessReviews
from k8s_manager.external_metrics.label_selector import selector_in
from k8s_manager.external_metrics.peer_connection import PEER, Peer
from k8s_manager.external_metrics.replica_metric import ReplicaMetric
from k8s_manager.external_metrics.request_header import ProxiedCaller, RequestHeaderTrust, caller_in
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
_VALUES = re.compile(rf"/apis/{re.escape(GROUP_VERSION)}/namespaces/([a-z0-9][-a-z0-9]{{0,62}})/([^/]{{1,253}})")
_DISCOVERY: dict[str, Callable[[], Manifest]] = {
    "/apis": api_documents.group_list,
    f"/apis/{GROUP}": api_documents.group,
    f"/apis/{GROUP_VERSION}": api_documents.resource_list,
}
ReadTrust = Callable[[], RequestHeaderTrust | None]


class ExternalMetricsApp:
    """Answers the API server; `trust` returns what proves it now, None while that is not known."""

    def __init__(self, metric: ReplicaMetric, reviews: AccessReviews, trust: ReadTrust, clock: Clock) -> None:
        self._metric, self._reviews, self._trust, self._clock = metric, reviews, trust, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        caller = self._caller(request)
        if caller is None:
            return _refused(401, "Unauthorized: only the API server may ask, with its request-header certificate")
        path = request.url.path.rstrip("/")
        if request.method not in ("GET", "HEAD"):
            return _refused(405, f"{request.method} is not possible: metrics can only be read")
        if path in _DISCOVERY:
            return _json(_DISCOVERY[path]())
        found = _VALUES.fullmatch(path)
        if found is None:
            return _refused(404, f"there is nothing at {path[:200]}")
        namespace, metric = found[1], found[2]
        return await self._within_errors(lambda: self._values(caller, namespace, metric, request))

    def _caller(self, request: Request) -> ProxiedCaller | None:
        """Return the caller, where the connection's certificate proves the API server."""
        trust, peer = self._trust(), request.scope.get(PEER)
        if trust is None or not isinstance(peer, Peer) or peer.certificate is None:
            return None
        certificate = _loaded(peer.certificate)
        if certificate is None or not trust.accepts_name(certificate):
            return None
        # A connection lives on after the authorities have changed, and was proved by the older ones.
        if peer.authorities != trust.authorities and not trust.has_issued(certificate, self._clock.utc()):
            return None
        return caller_in(trust, request.scope["headers"])

    async def _values(self, caller: ProxiedCaller, namespace: str, metric: str, request: Request) -> Response:
        selector = selector_in(request.query_params.get("labelSelector", ""))
        if (denied := await self._reviews.denial(caller, namespace)) is not None:
            return _refused(403, denied)
        if metric != METRIC:
            return _refused(404, f"there is no metric {metric[:200]}; the only one is {METRIC}")
        return _json(api_documents.value_list(self._metric.values(namespace, selector)))

    async def _within_errors(self, answer: Callable[[], Awaitable[Response]]) -> Response:
        """Return an answer, or why there is none, as a Status."""
        try:
            return await answer()
        except Invalid as error:
            return _refused(400, str(error))
        except Waiting as error:
            return _refused(429, str(error))
        except TidegateError as error:
            log.warning("external metrics: a caller could not be authorised: %s", error)
            return _refused(503, f"the API server did not say whether the caller may: {error}")
        except Exception:
            log.exception("external metrics: a request failed")
            return _refused(500, "the request failed; the manager's log says why")


def _loaded(certificate: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError:
        return None


def _json(body: Manifest, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _refused(code: int, message: str) -> Response:
    answer = _json(api_documents.failure(code, message), code)
    if code in (429, 503):
        answer.headers["Retry-After"] = "1"
    return answer
