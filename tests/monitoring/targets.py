"""The shipped scrape configuration with targets that are given instead of found.

Debian's Prometheus has no discovery through Kubernetes. A target is therefore given with the labels that discovery
would give it; relabelling, paths and everything else are as shipped.
"""

import re
from copy import deepcopy
from typing import Any

from tests.monitoring.files import MONITORING, SCRAPE

Target = dict[str, Any]


def target(address: str, pod: dict[str, Any], port_name: str = "", port_number: int = 0) -> Target:
    """Return a port of a pod as discovery gives it."""
    metadata = pod["metadata"]
    labels = {
        "__meta_kubernetes_namespace": metadata.get("namespace", ""),
        "__meta_kubernetes_pod_name": metadata.get("name", ""),
        "__meta_kubernetes_pod_phase": pod.get("status", {}).get("phase", "Running"),
        "__meta_kubernetes_pod_container_port_name": port_name,
        "__meta_kubernetes_pod_container_port_number": str(port_number),
    }
    for kind in ("label", "annotation"):
        for name, value in metadata.get(f"{kind}s", {}).items():
            labels[f"__meta_kubernetes_pod_{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"] = value
    return {"targets": [address], "labels": labels}


def config(targets: dict[str, list[Target]]) -> dict[str, Any]:
    """Return the configuration with these targets for each job, scraped every second over plain HTTP."""
    shipped = deepcopy(SCRAPE)
    shipped["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    shipped["rule_files"] = [str(MONITORING / name) for name in SCRAPE["rule_files"]]
    for job in shipped["scrape_configs"]:
        for needless in ("kubernetes_sd_configs", "scheme", "authorization", "tls_config"):
            job.pop(needless, None)
        job["static_configs"] = targets[job["job_name"]]
    return shipped
