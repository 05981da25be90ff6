"""A real Istio takes a gateway's Telemetry: its pods trace as the document says, and then not any more."""

from collections.abc import Iterator
from typing import Any

from e2e.support.envoy import config_dump
from e2e.support.site import Site
from tests.support.waiting import until

NAME = "tidegate-shared-tracing"
PROVIDER = "otel-tracing"
"""The extension provider of e2e/cluster/manifests/istio.yaml."""


def samplings(value: Any) -> Iterator[float]:
    """Yield the percentage that each listener in a configuration traces by a provider; istiod gives percentages to
    listeners without one too."""
    if isinstance(value, dict):
        found = value.get("tracing")
        if isinstance(found, dict) and "provider" in found:
            yield found["random_sampling"]["value"]
        for inner in value.values():
            yield from samplings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from samplings(inner)


async def sampled(site: Site) -> list[set[float]]:
    """Return the percentages that each gateway pod traces."""
    pods = await site.all("Pod", "shared-gw", "istio=shared")
    return [set(samplings(config_dump("shared-gw", pod["metadata"]["name"]))) for pod in pods]


async def test_a_gateway_traces_as_its_document_says_and_then_not_any_more(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    assert await sampled(site) == [set()] * len(gateways), "the mesh traces nothing by itself"
    try:
        for sampling in (12.5, 50):
            asked = {"spec": {"tracing": {"sampling": sampling, "provider": PROVIDER}}}
            await site.rest.ok("PATCH", "/v1/gateways/shared", asked)

            async def traces(wanted: float = sampling) -> bool:
                return await sampled(site) == [{wanted}] * len(gateways)

            await until(traces, f"every gateway pod tracing {sampling} % of its requests")
        telemetry = await site.get("Telemetry", NAME, "shared-gw")
        assert telemetry and telemetry["spec"]["selector"] == {"matchLabels": {"istio": "shared"}}
        assert await site.holds("InferenceGateway", "shared", "Programmed")
    finally:
        await site.rest.ok("PATCH", "/v1/gateways/shared", {"spec": {"tracing": None}})

    async def is_gone() -> bool:
        return await site.get("Telemetry", NAME, "shared-gw") is None

    await until(is_gone, "the Telemetry being gone")

    async def is_quiet() -> bool:
        return await sampled(site) == [set()] * len(gateways)

    await until(is_quiet, "gateway pods that trace nothing")
