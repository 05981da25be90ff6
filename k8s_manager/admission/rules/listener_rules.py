"""Certificates that a gateway serves on one port. Pure.

Envoy takes a certificate by the host that a client asks for: an exact one first, then the narrowest wildcard. It takes
no two for the same.
"""

from istio_templates.documents import InferenceGatewaySpec


def same_wildcard(gateway: InferenceGatewaySpec, claim: str) -> str | None:
    """Return the listener that serves what a tenant claims with a certificate of its own, on the port of those."""
    own = next((one.port for one in gateway.listeners if one.protocol == "HTTPS" and one.domain is None), None)
    found = (one.name for one in gateway.listeners if one.domain and one.port == own and claim == f"*.{one.domain}")
    return next(found, None)
