"""End states of runs, freed of what may differ: versions, identifiers and times."""

import re
from typing import Any

from istio_templates.facts import Manifest
from istio_templates.names import APPLIED
from k8s_manager.gitops.layout import Tree
from k8s_manager.gitops.tree_loop import STATE as GIT_STATE
from k8s_manager.gitops.tree_loop import state_of
from k8s_manager.history import revision
from tests.faults.cluster import Cluster

_UNCOMPARED = {"Event", "Pod", "CustomResourceDefinition", "Lease"}
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")
_VARIABLE = (
    "observed",
    "lastTransitionTime",
    "observedGeneration",
    "since",
    "until",
    "at",
    "changedAt",
    "startedAt",
    "started",
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_SECONDS = re.compile(r"[\d.]+ of [\d.]+ requests in the last [\d.]+ \w+")
"""What is counted since the manager began: a new one counts anew."""
_UID = re.compile(r"\d{8}-0000-0000-0000-0{12}")
_SHORT_UID = re.compile(r"\.\d{8}\.")
State = dict[str, Any]


def end_state(cluster: Cluster, files: Tree) -> State:
    """Return every object of a cluster by its name, and every file of a branch by its path, as runs are compared by
    them."""
    every = [obj for resource in cluster.store._objects for obj in cluster.store.every(resource)]
    there = {obj["metadata"]["uid"] for obj in every}
    found = {name_of(obj): _plain(obj) for obj in every if obj["kind"] not in _UNCOMPARED and _is_current(obj, there)}
    return {**found, **{f"File {path}": _timeless({"text": text}) for path, text in files.items()}}


def _is_current(obj: Manifest, there: set[str]) -> bool:
    """Tell whether an object is no revision of a document that is gone: which of those there are depends on when it
    went."""
    return obj["kind"] != "ControllerRevision" or revision.uid_of(obj) in there


def name_of(obj: Manifest) -> str:
    """Return the kind, namespace and name of an object as one text; a revision is named by what it is of, the Job of a
    check without the moment of its step."""
    metadata = obj["metadata"]
    if obj["kind"] == "Job":
        return f"Job {metadata['namespace']}/{metadata['name'].rpartition('-')[0]}"
    name = metadata["name"] if obj["kind"] != "ControllerRevision" else _SHORT_UID.sub(".", metadata["name"])
    return f"{obj['kind']} {metadata.get('namespace', '')}/{name}"


def differences(expected: State, found: State) -> list[str]:
    """Return where two end states differ, as `object: path: expected, found`."""
    out = [f"{name} is missing" for name in expected.keys() - found.keys()]
    out += [f"{name} is left over" for name in found.keys() - expected.keys()]
    for name in sorted(expected.keys() & found.keys()):
        out += [f"{name}{where}" for where in _unlike(expected[name], found[name], "")]
    return out


def _plain(obj: Manifest) -> Manifest:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _OF_THE_SERVER}
    if obj["kind"] == "ControllerRevision":
        del metadata["name"]
    if APPLIED in metadata.get("annotations", {}):  # what pods ran before depends on when they were asked
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != APPLIED}
    if name_of(obj) == f"{GIT_STATE.kind} {GIT_STATE.namespace}/{GIT_STATE.name}":
        return _timeless({"metadata": metadata, **_git_state(obj)})
    return _timeless({**obj, "metadata": metadata})


def _git_state(obj: Manifest) -> State:
    """Return what is known of a branch, but for its commits: which of those there were depends on when they were
    made."""
    state = state_of(obj)
    known = {name: {**(state.get(name) or {}), "commit": "", "at": ""} for name in ("committed", "applied")}
    return {**{name: value for name, value in state.items() if name != "commits"}, **known}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in _VARIABLE}
    if isinstance(value, list):
        if value and all(isinstance(one, dict) and "reason" in one and "type" in one for one in value):
            return {one["type"]: _timeless(one) for one in value}
        return [_timeless(inner) for inner in value]
    return _SECONDS.sub("COUNTS", _UID.sub("UID", _TIME.sub("TIME", value))) if isinstance(value, str) else value


def _unlike(expected: Any, found: Any, path: str) -> list[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        return [one for key in keys for one in _unlike(expected.get(key), found.get(key), f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [one for number, pair in pairs for one in _unlike(*pair, f"{path}[{number}]")]
    return [] if expected == found else [f"{path}: {_short(expected)}, found {_short(found)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else f"{text[:157]}..."
