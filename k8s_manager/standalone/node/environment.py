"""What a container's process is started with: its words, its environment, `$(VAR)` expanded as Kubernetes does."""

import os
import re
import sys
from pathlib import Path
from typing import Any

Object = dict[str, Any]
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class CannotRun(Exception):
    """A container needs what a local process cannot have."""


def environment(pod: Object, container: Object, address: str) -> dict[str, str]:
    """Return the environment of a container; of this machine's it gets the search path and little else."""
    inherited = {name: os.environ[name] for name in ("HOME", "LANG", "TZ") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    out = {**inherited, "PATH": path, "HOSTNAME": pod["metadata"]["name"]}
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            out[entry["name"]] = _from(entry, pod, address)
        else:
            out[entry["name"]] = expand(str(entry.get("value", "")), out)
    return out


def command(container: Object, variables: dict[str, str]) -> list[str]:
    """Return the words of a container's process."""
    words = [*container.get("command", []), *container.get("args", [])]
    if not container.get("command"):
        raise CannotRun(
            f"container {container['name']} has an image but no command; standalone runs local processes and never "
            "uses the image: give command"
        )
    return [expand(str(word), variables) for word in words]


def expand(text: str, variables: dict[str, str]) -> str:
    """Expand `$(VAR)`; `$$` stands for `$`, and an unknown name stays as it is."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return _REFERENCE.sub(one, text)


def _from(entry: Object, pod: Object, address: str) -> str:
    path = entry["valueFrom"].get("fieldRef", {}).get("fieldPath")
    if path is None:
        source = next(iter(entry["valueFrom"]), "nothing")
        raise CannotRun(f"env {entry['name']} comes from {source}; standalone knows value and fieldRef only")
    metadata = pod["metadata"]
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": "standalone",
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": address,
        "status.hostIP": "127.0.0.1",
    }
    if found := _LABEL.fullmatch(path):
        return str(metadata.get(found[1], {}).get(found[2], ""))
    if path not in known:
        raise CannotRun(f"env {entry['name']} asks for {path}; standalone knows {', '.join(known)} and labels")
    return str(known[path])
