"""The routes of what is known of requests, and of what pods use."""

from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from istio_templates.documents.fields import DnsLabel
from istio_templates.facts import ObjectKey
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.document_paths import GatewayKey, ModelKey
from k8s_manager.api.guard import caller_of
from k8s_manager.api.problems import Denied
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.statistics import ModelUsageList, PodUsageList, RequestStatistics
from k8s_manager.authz.roles import Right
from k8s_manager.statistics.request_stats import StatsScope
from k8s_manager.statistics.stats_query import AskedSpan

router = api_router()
_MOMENT = "RFC 3339 or seconds since 1970"
From = Annotated[
    str | None,
    Query(alias="from", max_length=40, description=f"Where it begins, {_MOMENT}; absent: 15 minutes before `to`."),
]
To = Annotated[str | None, Query(alias="to", max_length=40, description=f"Where it ends, {_MOMENT}; absent: now.")]
Step = Annotated[
    str | None, Query(max_length=20, description="Tens of seconds, such as 10s, 1m or 1h; absent: as the span asks.")
]

Arm = Annotated[
    DnsLabel | None,
    Query(description="Only requests that the match of this arm took; weights: those that the weights divided."),
]


async def _asked_span(start: From = None, end: To = None, step: Step = None) -> AskedSpan:
    return AskedSpan(start, end, step)


Span = Annotated[AskedSpan, Depends(_asked_span)]


@router.get(
    "/v1/stats",
    tags=["Statistics"],
    summary="What became of all requests.",
    name="get_stats",
    response_model=RequestStatistics,
)
async def _stats_of_all(
    request: Request,
    backend: Api,
    span: Span,
    by: Literal["gateway", "tenant", "model", "outcome"] | None = None,
) -> Response:
    caller = caller_of(request)
    sees_all = caller.may(Right.READ)
    if not sees_all and by not in ("tenant", "model"):
        raise Denied(f"{caller.identity.user} may not read the whole fleet; ask with by=tenant or by=model")

    def may_see(tenant: str) -> bool:
        return sees_all or caller.may(Right.READ, tenant)

    return in_json(await backend.requests.answer(StatsScope(), span, by, may_see))


@router.get(
    "/v1/gateways/{name}/stats",
    tags=["InferenceGateway"],
    summary="What became of the requests of a gateway.",
    name="get_gateway_stats",
    response_model=RequestStatistics,
)
async def _stats_of_gateway(
    backend: Api,
    key: GatewayKey,
    span: Span,
    by: Literal["outcome"] | None = None,
) -> Response:
    backend.documents.live(key)
    return in_json(await backend.requests.answer(StatsScope(gateway=key.name), span, by))


@router.get(
    "/v1/tenants/{tenant}/stats",
    tags=["Tenant"],
    summary="What became of the requests of a tenant.",
    name="get_tenant_stats",
    response_model=RequestStatistics,
)
async def _stats_of_tenant(
    backend: Api,
    tenant: str,
    span: Span,
    by: Literal["model", "outcome"] | None = None,
) -> Response:
    backend.documents.live(ObjectKey("Tenant", "", tenant))
    return in_json(await backend.requests.answer(StatsScope(tenant=tenant), span, by))


@router.get(
    "/v1/tenants/{tenant}/models/{model}/stats",
    tags=["Model"],
    summary="What became of the requests of a model.",
    name="get_model_stats",
    response_model=RequestStatistics,
)
async def _stats_of_model(
    backend: Api,
    tenant: str,
    key: ModelKey,
    span: Span,
    by: Literal["version", "arm", "outcome"] | None = None,
    arm: Arm = None,
) -> Response:
    backend.documents.live(key)
    scope = StatsScope(tenant=tenant, model=key.name, arm=arm)
    return in_json(await backend.requests.answer(scope, span, by))


@router.get(
    "/v1/tenants/{tenant}/usage",
    tags=["Tenant"],
    summary="What the models of a tenant use of CPU, memory and GPUs.",
    name="get_tenant_usage",
    response_model=ModelUsageList,
)
async def _usage_of_tenant(backend: Api, tenant: str) -> Response:
    namespace = backend.documents.namespace(tenant)
    find = backend.inventory.replicas_by_model(namespace)
    return in_json(await backend.usage.of_tenant(namespace, find, backend.work))


@router.get(
    "/v1/tenants/{tenant}/models/{model}/usage",
    tags=["Model"],
    summary="What the pods of a model use of CPU, memory and GPUs.",
    name="get_model_usage",
    response_model=PodUsageList,
)
async def _usage_of_model(backend: Api, key: ModelKey) -> Response:
    return in_json(await backend.usage.of_model(key.namespace, backend.inventory.replicas(key)))
