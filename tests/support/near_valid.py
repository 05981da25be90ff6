"""Documents that are valid, or nearly: each differs from a rich one in a field or two, drawn with a seed.

A field is set to a value that Kubernetes takes or to one beside it. Which of them an API server takes is not said here:
`e2e/scenarios/test_near_valid.py` asks a real one, whose answers `near_valid.taken.txt` holds for the fast tests.
"""

import copy
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest
from k8s_manager.admission.admit import AdmissionResult, Admitter
from k8s_manager.drift.pod_defaults import with_pod_defaults
from k8s_manager.offline.offline_world import with_own_gateways, world_of
from k8s_manager.pipeline.plan import Planner
from k8s_manager.pipeline.render import Renderer

Place = tuple[str | int, ...]
Change = tuple[Place, Any]
HOST = "lab.models.example.com"
NAMESPACE = "lab"
GATEWAY = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "InferenceGateway",
    "metadata": {"name": "shared"},
    "spec": {
        "namespace": "shared-gw",
        "selector": {"istio": "shared"},
        "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
    },
}
TENANT = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "Tenant",
    "metadata": {"name": NAMESPACE},
    "spec": {
        "namespace": NAMESPACE,
        "gateway": {"name": "shared"},
        "hosts": [{"name": HOST}],
        "pods": {"serviceAccounts": ["robot"]},
    },
}
_MODEL_PATH = "2.spec.versions.0.workload."
_REQUIRED, _PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))


def model() -> dict[str, Any]:
    """Return the rich model that every other one is made from."""
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5}
    side = {
        "name": "side",
        "image": "example.com/side:1",
        "ports": [{"name": "metrics", "containerPort": 9000}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    main = {
        "name": "model",
        "env": [{"name": "A", "value": "1"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "ports": [{"name": "admin", "containerPort": 9090, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "settings", "mountPath": "/etc/settings", "readOnly": True},
        ],
        "livenessProbe": probe,
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": False},
    }
    init = {"name": "fetch", "image": "example.com/fetch:1", "volumeMounts": [{"name": "scratch", "mountPath": "/s"}]}
    pod = {
        "containers": [main, side],
        "initContainers": [init],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "a", "path": "a"}]}},
            {"name": "all", "projected": {"sources": [{"secret": {"name": "key"}}]}},
        ],
        "tolerations": [{"key": "card", "operator": "Exists", "effect": "NoSchedule"}],
        "nodeSelector": {"card": "a100"},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "m"}},
            }
        ],
        "affinity": {
            "nodeAffinity": {
                _REQUIRED: {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
                }
            },
            "podAntiAffinity": {
                _PREFERRED: [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {}}}]
            },
        },
        "securityContext": {"fsGroup": 1000},
        "terminationGracePeriodSeconds": 60,
    }
    workload = {
        "replicas": 2,
        "image": "example.com/m:1",
        "env": [{"name": "SHORT", "value": "1"}],
        "resources": {"limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": 1}},
        "podTemplate": {"metadata": {"labels": {"team": "lab"}, "annotations": {"note": "x"}}, "spec": pod},
    }
    route = {
        "host": HOST,
        "path": "/m",
        "port": 8080,
        "timeout": "30s",
        "headers": {"x-a": "1"},
        "retries": {"attempts": 1, "perTryTimeout": "5s"},
    }
    return copy.deepcopy(
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "Model",
            "metadata": {"name": "m", "namespace": NAMESPACE},
            "spec": {
                "routes": [route],
                "trafficPolicy": {"maxConnections": 10, "outlierDetection": {"interval": "10s"}},
                "versions": [{"name": "v1", "workload": workload}],
                "traffic": [{"version": "v1", "weight": 100}],
            },
        }
    )


DRAWN = (20, 200)
"""The seed and the number of the documents with two fields set that are held against a server."""
STRICTER = (
    "is for init containers only",  # dropped by the server, without a word
    "an init container has Always, or none",  # the same
    "without spaces around it",  # taken in a template; its pods are refused
    "choose Memory, or leave it out",  # taken; no node can mount it
    "is switched off in Kubernetes",  # dropped by the server
    "is not allowed for this tenant",  # a rule of ours
    "shorten it to 52 characters",  # pods' names and labels
    "gateway 'shared' does not exist",  # the other documents name it
    "is not served",  # another operating system
    "use one protocol for each port",
)
"""Why Tidegate rejects what a server takes."""
_TABLE = Path(__file__).with_suffix(".yaml")
_REPEATED = re.compile(r"<?(.)\*(\d+)>?")
_OWN_GATEWAY: list[Change] = [
    ((1, "spec", "gateway"), {"dedicated": {"replicas": 1}}),
    ((1, "spec", "namespace"), NAMESPACE),
]
_MANAGED: list[Change] = [((0, "spec", "managed"), {"replicas": 1})]
_BESIDE: dict[Place, list[Change]] = {
    (0, "metadata", "name"): _MANAGED,
    (0, "spec", "listeners", 0, "name"): _MANAGED,
    (1, "metadata", "name"): _OWN_GATEWAY,
}
"""What makes a field count that otherwise does not."""


@dataclass(frozen=True, slots=True)
class NearValid:
    """A gateway, a tenant and a model, and which of their fields were set to what."""

    name: str
    documents: list[dict[str, Any]]


def every() -> list[NearValid]:
    """Return a document for each value of each field."""
    changes = list(_changes())
    beside = [[*_BESIDE[path], (path, value)] for path, value in changes if path in _BESIDE]
    return [_made(found) for found in ([*([change] for change in changes), *beside])]


def drawn(seed: int, count: int) -> list[NearValid]:
    """Return so many documents with two fields set, the same for the same seed."""
    rng, changes = random.Random(seed), list(_changes())
    return [_made(rng.sample(changes, 2)) for _ in range(count)]


def taken() -> set[str]:
    """Return the names of the documents that a real API server took."""
    return set(_TABLE.with_suffix(".taken.txt").read_text().splitlines())


def verdict(case: NearValid) -> tuple[list[str], list[Manifest] | None]:
    """Return why Tidegate rejects documents, and the objects that they are rendered to all the same; None where they are
    not even read."""
    try:
        found = with_own_gateways(map(parse, case.documents))
    except Invalid as error:
        return list(map(str, error.problems)), None
    world = world_of(found)
    admission = Admitter().admit(world)
    problems = [str(problem) for result in admission.values() for problem in result.problems]
    try:
        plan = Planner().plan(world, dict.fromkeys(admission, AdmissionResult(True)), {})
    except ValidationError:
        return problems, None
    desired = Renderer().render(plan)
    whole = [with_pod_defaults(obj, None) for obj in desired.objects.values() if obj["kind"] != "InferenceGateway"]
    return problems, None if desired.failed else whole


def _changes() -> Iterator[Change]:
    for part in yaml.safe_load(_TABLE.read_text()):
        for path, values in part["fields"]:
            yield from (((*part["root"], *path), value) for value in values)


def _made(changes: list[Change]) -> NearValid:
    documents = copy.deepcopy([GATEWAY, TENANT, model()])
    for path, value in changes:
        _set(documents, tuple(_expanded(part) for part in path), _expanded(copy.deepcopy(value)))
    said = " and ".join(f"{'.'.join(map(str, path))} = {value!r}" for path, value in changes)
    return NearValid(said.replace(_MODEL_PATH, ""), documents)


def _expanded(value: Any) -> Any:
    """Return a value with its repeated letters: `n*64` is 64 times n."""
    if isinstance(value, dict):
        return {_expanded(key): _expanded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(_expanded, value))
    return _REPEATED.sub(lambda found: found[1] * int(found[2]), value) if isinstance(value, str) else value


def _set(node: Any, path: Place, value: Any) -> None:
    for place, after in itertools.pairwise(path):
        empty: Any = [] if isinstance(after, int) else {}
        if isinstance(node, list) and isinstance(place, int):
            node.extend({} for _ in range(place + 1 - len(node)))
        elif isinstance(node, dict) and place not in node:
            node[place] = empty
        elif not isinstance(node, (dict, list)):
            return
        node = node[place]
    last = path[-1]
    if isinstance(node, list) and isinstance(last, int):
        node.extend({} for _ in range(last + 1 - len(node)))
    if isinstance(node, dict) or (isinstance(node, list) and isinstance(last, int)):
        node[last] = value
