"""The documents of the demo."""

from typing import Any

HOST = "search.models.example.com"
MODEL_PATH = "/v2/models/ranker"
_MODEL = {
    "routes": [{"host": HOST, "path": MODEL_PATH, "protocol": "http", "port": 8080, "timeout": "10s"}],
    "versions": [
        {
            "name": "v1",
            "workload": {
                "replicas": 2,
                "image": "tidegate.dev/demo-ranker:v1",
                "command": ["python", "-m", "k8s_manager.standalone.demo.server"],
                "args": ["--listen", "$(POD_IP):8080"],
                "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "podTemplate": {
                    "spec": {
                        "containers": [
                            {
                                "name": "model",
                                "readinessProbe": {
                                    "httpGet": {"path": "/v2/health/ready", "port": 8080},
                                    "periodSeconds": 1,
                                },
                                "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
                            }
                        ]
                    }
                },
            },
        }
    ],
    "traffic": [{"version": "v1", "weight": 100}],
    "rateLimit": {"perReplicaQps": 20},
}
DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/gateways/shared",
        {
            "spec": {
                "namespace": "inference-gw",
                "selector": {"istio": "inference-gw"},
                "managed": {"replicas": 2},
                "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
            }
        },
    ),
    (
        "/v1/tenants/search",
        {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}], "owners": ["group:search-ml"]}},
    ),
    ("/v1/tenants/search/models/ranker", {"spec": _MODEL}),
]
