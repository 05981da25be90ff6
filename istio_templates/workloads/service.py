"""Service: the stable name of a model inside the cluster, over the pods of all its versions."""

from istio_templates import names
from istio_templates.facts import Manifest, ServedModel


def service_host(model: ServedModel) -> str:
    """Return the full name of a model's Service."""
    return f"{model.name}.{model.tenant.namespace}.svc.cluster.local"


def service_named(host: str, namespace: str) -> tuple[str, str]:
    """Return (namespace, name) of the Service that a destination's host names, resolved from a namespace."""
    name, _, rest = host.partition(".")
    return rest.partition(".")[0] or namespace, name


def service(model: ServedModel) -> Manifest:
    """Return the Service of a model. Port names tell Istio the protocol: gateways do not sniff it."""
    ports = sorted({(route.port, route.protocol) for route in model.routes})
    obj = names.manifest("v1", "Service", model.name, model.tenant.namespace, names.owned_by_model(model))
    return {
        **obj,
        "spec": {
            "selector": dict(common_labels(model)),
            "ports": [
                {"name": f"{protocol}-{port}", "port": port, "targetPort": port, "protocol": "TCP"}
                for port, protocol in ports
            ],
        },
    }


def common_labels(model: ServedModel) -> list[tuple[str, str]]:
    """Return the labels that the pods of every version carry; empty where there is none.

    Those that tell versions apart stay out, so that a second version does not change the Service.
    """
    common = set.intersection(*(set(version.labels) for version in model.versions))
    lasting = {label for label in common if label[0] not in ("version", names.VERSION)}
    return sorted(lasting or common)
