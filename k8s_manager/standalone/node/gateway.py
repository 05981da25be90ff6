"""What Istio's injection does for a gateway pod, done for a local one: the container becomes a real Envoy."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from k8s_manager.standalone.node.environment import CannotRun

Object = dict[str, Any]
ADMIN_PORT, STATS_PORT = 15000, 15090
DRAIN_SECONDS = 5
_IDENTITY = [
    {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{field}"}}}
    for variable, field in (("POD_NAME", "name"), ("POD_NAMESPACE", "namespace"))
]
_FILTERS = "type.googleapis.com/envoy.extensions.filters"


def is_gateway(pod: Object) -> bool:
    """Return whether a pod is to get an injected gateway proxy."""
    return bool(pod["metadata"].get("annotations", {}).get("inject.istio.io/templates") == "gateway")


def inject(pod: Object, address: str, folder: Path, xds: tuple[str, int]) -> Object:
    """Return the pod with Envoy as its proxy container; writes Envoy's bootstrap into the pod's folder."""
    bootstrap = folder / "bootstrap.json"
    bootstrap.write_text(json.dumps(envoy_bootstrap(pod, address, xds), indent=1))
    containers = [
        {**container, **_proxy(bootstrap), "env": [*_IDENTITY, *container.get("env", [])]}
        if container["name"] == "istio-proxy"
        else container
        for container in pod["spec"]["containers"]
    ]
    return {**pod, "spec": {**pod["spec"], "containers": containers}}


def envoy_binary() -> str:
    """Return the path of the installed Envoy; `TIDEGATE_ENVOY` names another one."""
    if named := os.environ.get("TIDEGATE_ENVOY"):
        return named
    spec = importlib.util.find_spec("envoy")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (binary := Path(place) / "_bin" / "envoy").exists():
            return str(binary)
    raise CannotRun("there is no Envoy; install tidegate[standalone]")


def _proxy(bootstrap: Path) -> Object:
    return {
        "command": [envoy_binary(), "-c", str(bootstrap)],
        "args": [
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
            "--file-flush-interval-msec",
            "1000",
            "--drain-time-s",
            str(DRAIN_SECONDS),
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": ADMIN_PORT}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
    }


def envoy_bootstrap(pod: Object, address: str, xds: tuple[str, int]) -> Object:
    """Return Envoy's bootstrap: who it is, where its configuration comes from, its admin and stats ports."""
    metadata, annotations = pod["metadata"], pod["metadata"].get("annotations") or {}
    namespace = metadata["namespace"]
    grpc = {"envoy_grpc": {"cluster_name": "xds-grpc"}}
    return {
        "node": {
            "id": f"router~{address}~{metadata['name']}.{namespace}~{namespace}.svc.cluster.local",
            "cluster": metadata["labels"].get("tidegate.dev/gateway", "gateway"),
            "metadata": {"NAMESPACE": namespace, "LABELS": metadata["labels"], "INSTANCE_IPS": address},
        },
        "admin": {"address": _address(address, ADMIN_PORT)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [grpc],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "listeners": [_stats_listener(address)],
            "clusters": [_static("xds-grpc", *xds, http2=True), _static("admin", address, ADMIN_PORT)],
        },
        "stats_config": {"histogram_bucket_settings": _histograms(annotations)},
        "stats_flush_interval": annotations.get("sidecar.istio.io/statsFlushInterval", "5s"),
        "layered_runtime": {
            "layers": [
                {"name": "static", "static_layer": {"re2.max_program_size.error_level": 32768}},
                {"name": "admin", "admin_layer": {}},
            ]
        },
    }


def _histograms(annotations: Object) -> list[Object]:
    """Return where Envoy divides histograms, by the prefixes of their names."""
    found = json.loads(annotations.get("sidecar.istio.io/statsHistogramBuckets", "{}"))
    return [{"match": {"prefix": prefix}, "buckets": edges} for prefix, edges in found.items()]


def _address(host: str, port: int) -> Object:
    return {"socket_address": {"address": host, "port_value": port}}


def _static(name: str, host: str, port: int, http2: bool = False) -> Object:
    cluster: Object = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(host, port)}}]}],
        },
    }
    if http2:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster


def _stats_listener(address: str) -> Object:
    route = {"match": {"prefix": "/stats/prometheus"}, "route": {"cluster": "admin"}}
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "stats",
        "route_config": {"virtual_hosts": [{"name": "stats", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "stats", "address": _address(address, STATS_PORT), "filter_chains": [chain]}
