"""The warm-up agent in a model's pod: a native sidecar, and the probes of the model's container that ask it.

It has no startup probe of its own: Kubernetes would not start the model before it had passed.
"""

from typing import Any

from istio_templates import names
from istio_templates.facts import Manifest, WarmupFacts
from istio_templates.workloads.warmup_plan import PLAN_KEY

NAME = "tidegate-warmup"
PORT = 8701
_PLAN, _STATE = "/etc/tidegate-warmup", "/var/lib/tidegate-warmup"
A_DAY = 86_400
# Probes in a row that may fail: a new agent takes some seconds, and a model container that ends is not ready at once.
PATIENCE = 8


def with_agent(model: str, warmup: WarmupFacts, spec: Manifest) -> Manifest:
    """Return a pod's spec with the agent and its volumes."""
    others = [container for container in spec.get("initContainers") or [] if container.get("name") != NAME]
    volumes = [volume for volume in spec.get("volumes") or [] if not str(volume.get("name", "")).startswith(NAME)]
    return {
        **spec,
        "initContainers": [_sidecar(warmup), *others],
        "volumes": [
            *volumes,
            {"name": f"{NAME}-plan", "configMap": {"name": names.warmup_object(model)}},
            {"name": f"{NAME}-state", "emptyDir": {"sizeLimit": "1Mi"}},
        ],
    }


def _sidecar(warmup: WarmupFacts) -> Manifest:
    return {
        "name": NAME,
        "image": warmup.image,
        "restartPolicy": "Always",
        "args": [
            "warmup",
            "agent",
            f"--plan={_PLAN}/{PLAN_KEY}",
            f"--state={_STATE}/found.json",
            f"--listen=0.0.0.0:{PORT}",
        ],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "http-warmup", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": f"{NAME}-plan", "mountPath": _PLAN, "readOnly": True},
            {"name": f"{NAME}-state", "mountPath": _STATE},
        ],
    }


def probes(warmup: WarmupFacts) -> dict[str, Any]:
    """Return the probes of the model's container. A startup probe that fails restarts it, as the plan may ask."""
    asked = {"httpGet": {"path": "/ready", "port": PORT}, "periodSeconds": 1}
    patience = warmup.load if warmup.restarts else A_DAY
    return {
        "startupProbe": {**asked, "failureThreshold": max(1, patience)},
        "readinessProbe": {**asked, "failureThreshold": PATIENCE},
    }
