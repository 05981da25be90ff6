"""Documents that are valid, or nearly: each differs from a rich one in a field or two, drawn with a seed.

A field is set to a value that Kubernetes takes or to one beside it. Which of them an API server takes is not said here:
`e2e/scenarios/test_near_valid.py` asks a real one.
"""

import copy
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
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
_LONG = "n" * 64
_MODEL: Path = ("podTemplate", "spec", "containers", 0)
_SIDE: Path = ("podTemplate", "spec", "containers", 1)
_INIT: Path = ("podTemplate", "spec", "initContainers", 0)
_POD: Path = ("podTemplate", "spec")
_AFFINITY: Path = (*_POD, "affinity")
_VOLUMES: Path = (*_POD, "volumes")
_REQUIRED, _PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
_NAMES = ["a", "a-b", "A", "a.b", "a_b", "-a", "a-", "", "7", 7, True, _LONG, "n" * 63, "ä"]
_LABELS = ["a", "A.b_c", "", "-a", "a b", 1, True, _LONG, "n" * 63, None]
_COUNTS = [0, 1, -1, 3, "3", 1.5, True, 2**31]
_QUANTITIES = ["1", 1, "500m", "1Gi", "1.5Gi", "1gi", "", "-1", "1e3", "0.5m", 1.5, True, ".5", "1 Gi", "5."]
_PORTS = [1, 8080, 65535, 65536, 0, -1, "8080", "http", "a-name-that-is-too-long", "a--b", "UPPER", "1", 1.5]


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


_WORKLOAD: dict[Path, list[Any]] = {
    ("image",): ["a", "a:b@sha256:c", " a", "a ", "", 1],
    ("command",): [["a"], [1], "a", [""]],
    ("env", 0, "name"): ["A", "a.b", "1A", "", "A B", "A=B", "..a", ".", 1, "a-b", "Ä"],
    ("env", 0, "value"): ["", "yes", True, 1, 1.5, {"a": 1}, ["a"], None],
    ("env", 1): [{"name": "SHORT", "value": "2"}, {"name": "B"}, {"value": "1"}, {"name": "B", "valeu": "1"}, "B=1"],
    ("resources", "limits", "cpu"): _QUANTITIES,
    ("resources", "limits", "memory"): _QUANTITIES,
    ("resources", "limits", "nvidia.com/gpu"): [1, "2", "1500m", 0, "x", -1, 1.5],
    ("resources", "limits", "gpu"): [1],
    ("resources", "limits", "cards.example.com/b_c"): [1, "1k"],
    ("resources", "limits", "kubernetes.io/x"): [1],
    ("resources", "limits", "hugepages-2Mi"): ["4Mi", "3Mi", "1"],
    ("resources", "limits", "hugepages-x"): ["4Mi"],
    ("resources", "requests"): [{"nvidia.com/gpu": 2}, {"nvidia.com/gpu": 1}, {"nvidia.com/x": 1}, {"pods": 1}, []],
    ("resources", "claims"): [[{"name": "c"}], []],
    ("resources", "limit"): [{"cpu": 1}],
    ("podTemplate", "metadata", "labels", "a/b"): _LABELS,
    ("podTemplate", "metadata", "labels", "a/b/c"): ["x"],
    ("podTemplate", "metadata", "labels", "UP.example.com/b"): ["x"],
    ("podTemplate", "metadata", "annotations", "a"): ["x" * 1000, "x" * 270_000, 1, True, ""],
    ("podTemplate", "metadata", "annotations", "a b"): ["x"],
    ("podTemplate", "metadata", "name"): ["x", 1],
    ("podTemplate", "metadata", "label"): [{"a": "b"}],
    (*_MODEL, "env", 0, "name"): ["A", "IP", "B", "9"],
    (*_MODEL, "env", 0, "valueFrom"): [
        {"fieldRef": {"fieldPath": "metadata.name"}},
        {"secretKeyRef": {"name": "a", "key": "b"}},
    ],
    (*_MODEL, "env", 1, "valueFrom"): [
        {},
        {"fieldRef": {"fieldPath": "spec.nothing"}},
        {"fieldRef": {"fieldPath": "metadata.labels['app']"}},
        {"fieldRef": {"fieldPath": "metadata.labels"}},
        {"fieldRef": {"fieldPath": "metadata.annotations['A b']"}},
        {"fieldRef": {"fieldPath": "status.podIP", "apiVersion": "v2"}},
        {"secretKeyRef": {"name": "a", "key": "b"}},
        {"secretKeyRef": {"name": "", "key": "b"}},
        {"secretKeyRef": {"key": "b"}},
        {"secretKeyRef": {"name": "a"}},
        {"secretKeyRef": {"name": "A_b", "key": "b"}},
        {"secretKeyRef": {"name": "a", "key": "b c"}},
        {"configMapKeyRef": {"name": "a", "key": "b", "optional": "true"}},
        {"configMapKeyRef": {"name": "a", "key": "b"}, "secretKeyRef": {"name": "a", "key": "b"}},
        {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        {"resourceFieldRef": {"resource": "limits.memory", "divisor": "3Mi"}},
        {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}},
        {"resourceFieldRef": {"resource": "limits.cards"}},
    ],
    (*_MODEL, "envFrom", 0): [
        {"configMapRef": {}},
        {"prefix": "A_", "secretRef": {"name": "b"}},
        {"prefix": "1", "secretRef": {"name": "b"}},
        {},
        {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}},
    ],
    (*_MODEL, "ports", 0, "name"): [
        "a",
        "a-b",
        "metrics",
        "A",
        "a--b",
        "12",
        "fifteen-letters",
        "sixteen-letters-",
        "a-",
        1,
    ],
    (*_MODEL, "ports", 0, "containerPort"): _PORTS,
    (*_MODEL, "ports", 0, "protocol"): ["TCP", "UDP", "tcp", "SCTP", "HTTP", 1],
    (*_MODEL, "ports", 1): [
        {"containerPort": 9090},
        {"containerPort": 9090, "protocol": "UDP"},
        {"name": "admin", "containerPort": 1},
        {"name": "other"},
        {"containerPort": 8080},
        {"containerPort": 8080, "name": "mine"},
    ],
    (*_MODEL, "resources", "requests", "cpu"): ["3", "2", "2001m", 2, "1e1"],
    (*_MODEL, "volumeMounts", 0, "name"): ["scratch", "nothing", "", 1],
    (*_MODEL, "volumeMounts", 0, "mountPath"): ["/a", "a", "", "/etc/settings", "/a/../b", 1, "/a:b"],
    (*_MODEL, "volumeMounts", 0, "subPath"): ["a", "/a", "a/../b", "", "a..b"],
    (*_MODEL, "volumeMounts", 0, "subPathExpr"): ["$(A)", "/a"],
    (*_MODEL, "volumeMounts", 0, "mountPropagation"): ["None", "HostToContainer", "Bidirectional", "Other"],
    (*_MODEL, "volumeMounts", 0, "recursiveReadOnly"): ["Disabled", "Enabled", "IfPossible", "x"],
    (*_MODEL, "livenessProbe"): [
        {},
        {"exec": {}},
        {"exec": {"command": ["a"]}},
        {"exec": {"command": []}},
        {"tcpSocket": {"port": "http-8080"}},
        {"tcpSocket": {"port": "HTTP"}},
        {"tcpSocket": {}},
        {"tcpSocket": {"port": 0}},
        {"grpc": {"port": 9000}},
        {"grpc": {"port": 0}},
        {"grpc": {"port": "9000"}},
        {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}},
        {"httpGet": {"port": 80, "scheme": "HTTPS"}},
        {"httpGet": {"port": 80, "scheme": "https"}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "A", "value": "b"}]}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "A b", "value": "b"}]}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "A", "value": ""}]}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "A"}]}},
        {"httpGet": {"port": 80, "path": ""}},
        {"tcpSocket": {"port": 80}, "successThreshold": 2},
        {"tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 0},
        {"tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 5},
    ],
    (*_MODEL, "livenessProbe", "periodSeconds"): _COUNTS,
    (*_MODEL, "livenessProbe", "initialDelaySeconds"): _COUNTS,
    (*_MODEL, "livenessProbe", "failureThreshold"): _COUNTS,
    (*_MODEL, "readinessProbe"): [
        {"tcpSocket": {"port": 80}, "successThreshold": 2},
        {"tcpSocket": {"port": 80}, "terminationGracePeriodSeconds": 5},
        {"httpGet": {"path": "/"}},
        {"httpGet": {"path": "/", "port": 80}, "timeoutSeconds": -1},
    ],
    (*_MODEL, "lifecycle"): [
        {},
        {"preStop": {}},
        {"preStop": {"sleep": {"seconds": 60}}},
        {"preStop": {"sleep": {"seconds": 61}}},
        {"preStop": {"sleep": {"seconds": 0}}},
        {"preStop": {"sleep": {"seconds": -1}}},
        {"preStop": {"exec": {"command": ["a"]}, "sleep": {"seconds": 1}}},
        {"postStart": {"exec": {"command": ["a"]}}},
        {"postStart": {"tcpSocket": {"port": 80}}},
        {"postStop": {"exec": {"command": ["a"]}}},
        {"stopSignal": "SIGTERM"},
    ],
    (*_MODEL, "imagePullPolicy"): ["Always", "IfNotPresent", "always", "", 1],
    (*_MODEL, "terminationMessagePolicy"): ["File", "FallbackToLogsOnError", "file"],
    (*_MODEL, "terminationMessagePath"): ["/dev/log", "", 1],
    (*_MODEL, "restartPolicy"): ["Always", "OnFailure", "Never"],
    (*_MODEL, "tty"): [True, "true", 1],
    (*_MODEL, "workingDir"): ["/a", "", 1],
    (*_MODEL, "comand"): [["a"]],
    (*_MODEL, "securityContext", "runAsUser"): [0, 65535, -1, 2**31, 2**31 - 1, "1000"],
    (*_MODEL, "securityContext", "runAsNonRoot"): [True, "true"],
    (*_MODEL, "securityContext", "capabilities"): [
        {"add": ["CHOWN"]},
        {"drop": ["ALL"]},
        {"add": "CHOWN"},
        {"add": [1]},
    ],
    (*_MODEL, "securityContext", "seccompProfile"): [
        {"type": "RuntimeDefault"},
        {"type": "Localhost"},
        {"type": "Localhost", "localhostProfile": "a/b.json"},
        {"type": "Localhost", "localhostProfile": "/a"},
        {"type": "RuntimeDefault", "localhostProfile": "a"},
        {"type": "Other"},
        {},
    ],
    (*_MODEL, "securityContext", "appArmorProfile"): [
        {"type": "RuntimeDefault"},
        {"type": "Localhost"},
        {"type": "Localhost", "localhostProfile": "a"},
    ],
    (*_MODEL, "securityContext", "readOnlyRootFilesystem"): [True, 1],
    (*_MODEL, "resizePolicy"): [
        [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
        [{"resourceName": "gpu", "restartPolicy": "NotRequired"}],
        [{"resourceName": "cpu", "restartPolicy": "Other"}],
        [{"resourceName": "cpu"}],
    ],
    (*_SIDE, "name"): ["side", "model", "fetch", *_NAMES],
    (*_SIDE, "image"): ["", " a", "a", 1],
    (*_SIDE, "ports", 0, "name"): ["http-8080", "a", "A"],
    (*_SIDE, "command"): [["a"], "a", [1]],
    (*_INIT, "name"): ["side", "fetch", "a.b", ""],
    (*_INIT, "restartPolicy"): ["Always", "OnFailure", "Never", ""],
    (*_INIT, "livenessProbe"): [{"tcpSocket": {"port": 80}}],
    (*_INIT, "lifecycle"): [{"preStop": {"sleep": {"seconds": 1}}}, {}],
    (*_INIT, "image"): [None, ""],
    (*_VOLUMES, 0, "name"): ["scratch", "settings", "Scratch", "a.b", "", 1],
    (*_VOLUMES, 0, "emptyDir"): [
        {},
        {"medium": "Memory"},
        {"medium": "memory"},
        {"medium": "HugePages"},
        {"sizeLimit": "x"},
        {"sizeLimit": -1},
    ],
    (*_VOLUMES, 0, "configMap"): [{"name": "a"}],
    (*_VOLUMES, 0, "persistentvolumeclaim"): [{"claimName": "a"}],
    (*_VOLUMES, 1, "configMap"): [
        {},
        {"name": ""},
        {"name": "A_B"},
        {"name": "a", "defaultMode": 0o444},
        {"name": "a", "defaultMode": 0o1000},
        {"name": "a", "defaultMode": "0444"},
        {"name": "a", "items": [{"key": "a"}]},
        {"name": "a", "items": [{"key": "a", "path": "/a"}]},
        {"name": "a", "items": [{"key": "a", "path": "../a"}]},
        {"name": "a", "items": [{"key": "a b", "path": "a"}]},
        {"name": "a", "items": [{"key": "a", "path": "a", "mode": -1}]},
        {"name": "a", "items": [{"key": "", "path": "a"}]},
    ],
    (*_VOLUMES, 2, "projected"): [
        {},
        {"sources": []},
        {"sources": [{}]},
        {"sources": [{"serviceAccountToken": {"path": "token"}}]},
        {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 60}}]},
        {"sources": [{"serviceAccountToken": {}}]},
        {"sources": [{"secret": {"name": "a"}, "configMap": {"name": "b"}}]},
        {"sources": [{"secret": {}}]},
        {"sources": [{"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]},
        {"sources": [{"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "spec.nodeName"}}]}}]},
        {"sources": [{"downwardAPI": {"items": [{"path": "l"}]}}]},
        {
            "sources": [
                {"secret": {"name": "a", "items": [{"key": "x", "path": "p"}]}},
                {"configMap": {"name": "b", "items": [{"key": "x", "path": "p"}]}},
            ]
        },
        {"sources": [{"configMap": {"name": "b", "items": [{"key": "x", "path": "p"}, {"key": "y", "path": "p"}]}}]},
    ],
    (*_VOLUMES, 3): [
        {"name": "v"},
        {"name": "scratch", "emptyDir": {}},
        {"name": "v", "persistentVolumeClaim": {"claimName": "a"}},
        {"name": "v", "persistentVolumeClaim": {"claimName": "A_B"}},
        {"name": "v", "persistentVolumeClaim": {"claimName": ""}},
        {"name": "v", "persistentVolumeClaim": {}},
        {"name": "v", "secret": {}},
        {"name": "v", "secret": {"secretName": "a", "optional": "yes"}},
        {"name": "v", "nfs": {"server": "a", "path": "/b"}},
        {"name": "v", "nfs": {"server": "a", "path": "b"}},
        {"name": "v", "nfs": {"server": "a"}},
        {"name": "v", "csi": {"driver": "a.example.com"}},
        {"name": "v", "csi": {}},
        {"name": "v", "csi": {"driver": "a_b"}},
        {"name": "v", "downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "v", "downwardAPI": {"items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}]}},
        {
            "name": "v",
            "downwardAPI": {
                "items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu", "containerName": "model"}}]
            },
        },
        {"name": "v", "ephemeral": {}},
        {
            "name": "v",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                }
            },
        },
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}}},
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
        {
            "name": "v",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["Other"], "resources": {"requests": {"storage": "1Gi"}}}
                }
            },
        },
        {
            "name": "v",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "0"}}}
                }
            },
        },
        {"name": "v", "image": {"reference": "a"}},
        {"name": "v", "gitRepo": {"repository": "a"}},
        {"name": "v", "iscsi": {"targetPortal": "a"}},
        {"name": "v", "emptydir": {}},
    ],
    (*_POD, "tolerations", 0): [
        {},
        {"operator": "Exists"},
        {"operator": "exists"},
        {"key": "a", "value": "b"},
        {"key": "a", "value": "b c"},
        {"key": "a", "operator": "Exists", "value": "b"},
        {"key": "a b", "operator": "Exists"},
        {"key": "a", "operator": "Exists", "effect": "NoRun"},
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
        {"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5},
        {"key": "a", "operator": "Exists", "tolerationSeconds": 5},
        {"key": "a", "operator": "Gt", "value": "1"},
        {"key": "a", "operator": "Exists", "tolerationSeconds": "5", "effect": "NoExecute"},
    ],
    (*_POD, "nodeSelector", "pool"): _LABELS,
    (*_POD, "nodeSelector", "a b"): ["x"],
    (*_POD, "topologySpreadConstraints", 0, "maxSkew"): _COUNTS,
    (*_POD, "topologySpreadConstraints", 0, "topologyKey"): ["zone", "", "a b", 1],
    (*_POD, "topologySpreadConstraints", 0, "whenUnsatisfiable"): ["DoNotSchedule", "Maybe", ""],
    (*_POD, "topologySpreadConstraints", 0, "minDomains"): [1, 0],
    (*_POD, "topologySpreadConstraints", 0, "nodeTaintsPolicy"): ["Honor", "honor"],
    (*_POD, "topologySpreadConstraints", 0, "matchLabelKeys"): [["app"], ["hash"], ["a b"]],
    (*_POD, "topologySpreadConstraints", 0, "labelSelector"): [
        {},
        {"matchLabels": {"a": "b c"}},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
        {"matchExpressions": [{"key": "a", "operator": "In"}]},
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
        {"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]},
    ],
    (*_POD, "topologySpreadConstraints", 1): [
        {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
        {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
        {"maxSkew": 2, "topologyKey": "zone"},
    ],
    (*_AFFINITY, "nodeAffinity", _REQUIRED): [
        {"nodeSelectorTerms": []},
        {"nodeSelectorTerms": [{}]},
        {},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["5"]}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": [5]}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["x"]}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Lt", "values": ["1", "2"]}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["a b"]}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "DoesNotExist", "values": ["b"]}]}]},
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a"}]}]},
        {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]},
        {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.uid", "operator": "In", "values": ["n"]}]}]},
        {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n", "o"]}]}]},
    ],
    (*_AFFINITY, "nodeAffinity", _PREFERRED): [
        [{"weight": 0, "preference": {}}],
        [{"weight": 1, "preference": {}}],
        [{"weight": 100, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
        [{"weight": 101, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
        [{"preference": {}}],
    ],
    (*_AFFINITY, "podAntiAffinity", _PREFERRED, 0): [
        {"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}},
        {"weight": 1, "podAffinityTerm": {"topologyKey": ""}},
        {"weight": 1, "podAffinityTerm": {}},
        {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "namespaces": ["a_b"]}},
        {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "namespaces": ["a"]}},
        {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": 1}}}},
        {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "matchLabelKeys": ["a"]}},
        {
            "weight": 1,
            "podAffinityTerm": {
                "topologyKey": "zone",
                "labelSelector": {},
                "matchLabelKeys": ["a"],
                "mismatchLabelKeys": ["a"],
            },
        },
        {"weight": "1", "podAffinityTerm": {"topologyKey": "zone"}},
    ],
    (*_POD, "securityContext", "fsGroup"): [0, -1, 2**31, "0"],
    (*_POD, "securityContext", "fsGroupChangePolicy"): ["Always", "OnRootMismatch", "Never"],
    (*_POD, "securityContext", "supplementalGroups"): [[1, 2], [1, 1], [-1], ["1"]],
    (*_POD, "securityContext", "supplementalGroupsPolicy"): ["Merge", "Strict", "Other"],
    (*_POD, "securityContext", "sysctls"): [
        [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
        [{"name": "net.ipv4.tcp_syncookies", "value": 1}],
        [{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "net.ipv4.tcp_syncookies", "value": "0"}],
        [{"name": "net.ipv4.tcp_syncookies"}],
    ],
    (*_POD, "terminationGracePeriodSeconds"): [0, 1, 4, 5, -1, 86_400, "60", 1.5],
    (*_POD, "restartPolicy"): ["Always", "OnFailure", "Never", "always", ""],
    (*_POD, "activeDeadlineSeconds"): [10, 0],
    (*_POD, "dnsPolicy"): ["Default", "None", "ClusterFirst", "ClusterFirstWithHostNet", "Cluster"],
    (*_POD, "dnsConfig"): [
        {"nameservers": ["10.0.0.1"]},
        {"nameservers": ["dns"]},
        {"nameservers": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]},
        {"searches": ["a.b", "_a.b"]},
        {"searches": ["a b"]},
        {"searches": ["a"] * 33},
        {"searches": ["."]},
        {"options": [{"name": "ndots", "value": "2"}]},
        {"options": [{"name": "ndots", "value": 2}]},
        {"options": [{"value": "2"}]},
    ],
    (*_POD, "hostAliases"): [
        [{"ip": "10.0.0.1", "hostnames": ["a.b"]}],
        [{"ip": "x", "hostnames": ["a"]}],
        [{"ip": "10.0.0.1", "hostnames": ["a_b"]}],
        [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}],
        [{"hostnames": ["a"]}],
        [{"ip": "010.0.0.1", "hostnames": ["a"]}],
    ],
    (*_POD, "serviceAccountName"): ["robot", "Robot", "a..b", "robot.v1"],
    (*_POD, "priorityClassName"): ["high", "High", "a.b", "", 1],
    (*_POD, "runtimeClassName"): ["gvisor", "gVisor", "", "a.b"],
    (*_POD, "schedulerName"): ["mine", "", "A B"],
    (*_POD, "hostname"): _NAMES,
    (*_POD, "subdomain"): ["a", "a.b"],
    (*_POD, "imagePullSecrets"): [
        [{"name": "a"}],
        [{"name": "a"}, {"name": "a"}],
        ["a"],
        [{}],
        [{"name": "A_B"}],
        [{"name": ""}],
    ],
    (*_POD, "readinessGates"): [
        [{"conditionType": "a.example.com/b"}],
        [{"conditionType": "a b"}],
        [{}],
        [{"conditionType": "A"}] * 2,
    ],
    (*_POD, "schedulingGates"): [[{"name": "a"}], [{"name": "a b"}], [{"name": "a"}] * 2],
    (*_POD, "resourceClaims"): [
        [{"name": "c", "resourceClaimName": "x"}],
        [{"name": "c"}],
        [{"name": "c", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}],
        [{"name": "C", "resourceClaimName": "x"}],
        [{"name": "c", "resourceClaimName": "X_Y"}],
    ],
    (*_POD, "shareProcessNamespace"): [True, "true"],
    (*_POD, "automountServiceAccountToken"): [False, "no"],
    (*_POD, "enableServiceLinks"): [True, "no"],
    (*_POD, "preemptionPolicy"): ["Never", "Maybe", "PreemptLowerPriority"],
    (*_POD, "priority"): [1, "1"],
    (*_POD, "os"): [{"name": "linux"}, {"name": "Linux"}, {}, {"name": "windows"}],
    (*_POD, "overhead"): [{"cpu": "1"}, {"cpu": "x"}],
    (*_POD, "hostUsers"): [True, False, "true"],
    (*_POD, "setHostnameAsFQDN"): [True, 1],
    (*_POD, "resources"): [
        {"limits": {"cpu": "4"}},
        {"limits": {"nvidia.com/gpu": 1}},
        {"requests": {"memory": "1Gi"}},
        {"limits": {"cpu": "1m"}},
    ],
    (*_POD, "ephemeralContainers"): [[{"name": "e", "image": "a"}]],
    (*_POD, "toleration"): [[]],
    (*_POD, "tolerations"): [{}, "a"],
    (*_POD, "containers", 2): [
        {"name": "third", "image": "a"},
        {"name": "third"},
        {"name": "side", "image": "a"},
        {"image": "a"},
    ],
}
_DOCUMENT: dict[Path, list[Any]] = {
    ("metadata", "name"): ["m", "7b-chat", "m-7b", "M", "a.b", "n" * 40, "n" * 53, "n" * 63, _LONG, "7"],
    ("metadata", "labels"): [{"a": "b"}, {"a b": "c"}, {"a": "-"}, {"a": _LONG}],
    ("metadata", "annotations"): [{"a": "b c"}, {"a b": "c"}, {"a": "x" * 270_000}],
    ("spec", "versions", 0, "name"): ["v1", "1", "v1.0", "V1", "v" * 60],
    ("spec", "routes", 0, "timeout"): [
        "1ms",
        "0s",
        "0.5ms",
        "1.5ms",
        "1m30s",
        "0.1s",
        "24h",
        "25h",
        "5",
        "1h0.5s",
        "1.0005s",
    ],
    ("spec", "routes", 0, "retries", "perTryTimeout"): ["1ms", "0s", "1.5ms", "10s", "0ms"],
    ("spec", "routes", 0, "retries", "attempts"): [0, 5, 6, -1],
    ("spec", "routes", 0, "headers"): [
        {"x-a": ""},
        {"X-A": "1", "x-a": "2"},
        {"x a": "1"},
        {"a" * 300: "1"},
        {"x-a": "a b"},
    ],
    ("spec", "routes", 0, "requestHeaders"): [
        {"set": {"x-b": ""}},
        {"add": {"x-b": "1"}},
        {"remove": ["x-b", "x-b"]},
        {"set": {"X-B": "1", "x-b": "2"}},
    ],
    ("spec", "routes", 0, "port"): [1, 65535, 0, 65536],
    ("spec", "routes", 0, "path"): ["/", "/a", "/a/", "a", "/a?b", "/" + "a" * 255, "/a%20b", "/~a"],
    ("spec", "trafficPolicy", "maxConnections"): [1, 2**31 - 1, 2**31, 2**40, 0],
    ("spec", "trafficPolicy", "maxRequests"): [1, 2**31],
    ("spec", "trafficPolicy", "maxPending"): [2**31 - 1, 2**31],
    ("spec", "trafficPolicy", "outlierDetection", "interval"): ["1ms", "0s", "0.5ms", "1.5s", "1.5ms"],
    ("spec", "trafficPolicy", "outlierDetection", "ejectionTime"): ["1ms", "0s", "1.0001s", "1h"],
    ("spec", "trafficPolicy", "outlierDetection", "maxEjectionPercent"): [0, 100, 101],
    ("spec", "trafficPolicy", "loadBalancing"): [
        {"policy": "hash", "header": "x-a"},
        {"policy": "hash", "cookie": "c"},
    ],
    ("spec", "paused"): ["for a test", 'quo"te', "x" * 200],
    ("spec", "warmup"): [
        {"mode": "fixedDelay", "fixedDelay": {"load": "24h", "warm": "24h"}},
        {"slowStart": {"duration": "1s"}},
        {"slowStart": {"duration": "0s"}},
        {"slowStart": {"duration": "0.5ms"}},
        {"slowStart": {"duration": "1s", "minimumPercent": 100, "aggression": 10}},
    ],
}
_GATEWAY: dict[Path, list[Any]] = {
    ("metadata", "name"): ["7gw", "g" * 63, "a.b"],
    ("spec", "managed"): [{"replicas": 1}, {"autoscale": {"min": 1, "max": 2}}, {"autoscale": {"min": 0, "max": 2}}],
    ("spec", "selector"): [
        {"a b": "c"},
        {"a": "b c"},
        {"a" * 64: "b"},
        {"a/b": ""},
        {"a..b/c": "d"},
        {"a" * 254 + "/b": "c"},
    ],
    ("spec", "listeners", 0, "name"): ["a", "a--b", "12", "sixteen-letters-x", "fifteen-letters", "n" * 63],
    ("spec", "listeners", 1): [
        {"name": "https", "port": 8443, "protocol": "HTTPS", "domain": "models.example.com", "credentialName": "c"},
        {
            "name": "https",
            "port": 8443,
            "protocol": "HTTPS",
            "domain": "n" * 64 + ".example.com",
            "credentialName": "c",
        },
        {"name": "other", "port": 65535, "protocol": "HTTP"},
    ],
    ("spec", "endpointStats"): [True],
}
_TENANT: dict[Path, list[Any]] = {
    ("metadata", "name"): ["7lab", "n" * 63, "n" * 56, "n" * 55],
    ("spec", "gateway"): [{"dedicated": {"replicas": 1}}],
    ("spec", "isolation"): ["strict"],
    ("spec", "hosts", 1): [
        {"name": "*.example.org"},
        {"name": "n" * 63 + ".example.com"},
        {"name": "n" * 64 + ".example.com"},
        {"name": "a_b.example.com"},
        {"name": "bücher.example.com"},
        {"name": "10.0.0.1"},
        {"name": "a.b." + "c" * 260},
        {"name": "1.2"},
    ],
}
_WORKLOAD_ROOT: Path = (2, "spec", "versions", 0, "workload")
_ROOTS: tuple[tuple[Path, dict[Path, list[Any]]], ...] = (
    (_WORKLOAD_ROOT, _WORKLOAD),
    ((2,), _DOCUMENT),
    ((0,), _GATEWAY),
    ((1,), _TENANT),
)
_TOGETHER: list[list[tuple[Path, Any]]] = [
    [((0, "spec", "managed"), {"replicas": 1}), ((0, *path), value)]
    for path in (("metadata", "name"), ("spec", "listeners", 0, "name"))
    for value in _GATEWAY[path]
] + [
    [
        ((1, "spec", "gateway"), {"dedicated": {"replicas": 1}}),
        ((1, "spec", "namespace"), NAMESPACE),
        ((1, "metadata", "name"), name),
    ]
    for name in _TENANT["metadata", "name"]
]
"""Fields that count only beside another one."""


@dataclass(frozen=True, slots=True)
class NearValid:
    """A gateway, a tenant and a model, and which of their fields were set to what."""

    name: str
    documents: list[dict[str, Any]]


def every() -> list[NearValid]:
    """Return a document for each value of each field."""
    return [*(_made([change]) for change in _changes()), *map(_made, _TOGETHER)]


def drawn(seed: int, count: int) -> list[NearValid]:
    """Return so many documents with two fields set, the same for the same seed."""
    rng, changes = random.Random(seed), list(_changes())
    return [_made(rng.sample(changes, 2)) for _ in range(count)]


def _changes() -> Iterator[tuple[Path, Any]]:
    for root, values in _ROOTS:
        for path, options in values.items():
            yield from (((*root, *path), value) for value in options)


def _made(changes: list[tuple[Path, Any]]) -> NearValid:
    documents = copy.deepcopy([GATEWAY, TENANT, model()])
    for path, value in changes:
        _set(documents, path, copy.deepcopy(value))
    said = " and ".join(f"{'.'.join(map(str, path))} = {_shown(value)}" for path, value in changes)
    return NearValid(said.replace("2.spec.versions.0.workload.", ""), documents)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:40]}... ({len(text)})"


def _set(node: Any, path: Path, value: Any) -> None:
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
