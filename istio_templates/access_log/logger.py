"""EnvoyFilter: the access logger of a gateway, one object that no limit and no tenant changes.

The logger is added to those that the mesh has configured. It skips the manager's probes, which carry a secret: by
anything that a client can know, it could keep its requests out of the log.

Source of the shapes: Envoy's AccessLog v3, StdoutAccessLog v3 and AccessLogFilter v3.
"""

from istio_templates import names
from istio_templates.access_log.line_format import json_format
from istio_templates.envoy_filter import merged_into_listeners, of_gateway
from istio_templates.facts import GatewayPool, Manifest

STDOUT = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"


def access_logger(pool: GatewayPool) -> list[Manifest]:
    """Return the EnvoyFilter by which a gateway logs its requests, where that is asked for."""
    if not pool.access_log:
        return []
    logger: Manifest = {
        "name": f"tidegate.{pool.name}.access-log",
        "typed_config": {"@type": STDOUT, "log_format": {"json_format": json_format(pool.name)}},
    }
    if pool.probe:
        # Without the last field a request that lacks the header matches nothing, not even the opposite.
        secret = {"exact": pool.probe}
        other = {"string_match": secret, "invert_match": True, "treat_missing_header_as_empty": True}
        logger["filter"] = {"header_filter": {"header": {"name": names.PROBE_HEADER, **other}}}
    patch = merged_into_listeners({"access_log": [logger]})
    return [of_gateway(pool, names.access_log_object(pool), 10, [patch])]
