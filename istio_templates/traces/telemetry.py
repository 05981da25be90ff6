"""Telemetry: which requests of a gateway are traced, and by which extension provider of the mesh.

The provider, the collector that it sends spans to, is the mesh's (`meshConfig.extensionProviders`): a gateway names it.
Of several Telemetry objects that select a pod Istio takes the oldest; what this one does not set stays as the mesh has
it.

Source of the shape: Istio's Telemetry v1.
"""

from istio_templates import names
from istio_templates.facts import GatewayPool, Manifest

_API_VERSION = "telemetry.istio.io/v1"


def telemetry(pool: GatewayPool) -> list[Manifest]:
    """Return the Telemetry by which a gateway traces its requests, where that is asked for."""
    if pool.tracing is None:
        return []
    sampling = pool.tracing.sampling
    tracing = {
        "providers": [{"name": pool.tracing.provider}],
        "randomSamplingPercentage": int(sampling) if sampling == int(sampling) else sampling,
    }
    obj = names.manifest(
        _API_VERSION, "Telemetry", names.tracing_object(pool), pool.namespace, names.owned_by_gateway(pool)
    )
    return [{**obj, "spec": {"selector": {"matchLabels": dict(pool.selector)}, "tracing": [tracing]}}]
