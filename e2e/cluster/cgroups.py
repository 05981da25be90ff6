"""The control groups of a cluster's pods.

Each cluster has a root of its own: a kubelet takes every pod below its root that it does not know for left over, also
those of the cluster beside it.
"""

import contextlib
import os
from pathlib import Path

from e2e.cluster.errors import Failed

_MOUNT = Path("/sys/fs/cgroup")


def make(name: str) -> None:
    """Make the root in every hierarchy: one for each controller (cgroup v1), or one for all of them (v2)."""
    unified = _MOUNT / "cgroup.controllers"
    try:
        if unified.exists():
            for controller in unified.read_text().split():
                (_MOUNT / "cgroup.subtree_control").write_text(f"+{controller}")
        for hierarchy in _hierarchies():
            (hierarchy / name).mkdir(exist_ok=True)
    except OSError as error:
        what = f"control groups for pods cannot be made in {_MOUNT}: {error.strerror or error}"
        raise Failed(f"{what}; run it where that folder is writable and its root group has no limits") from error


def remove(name: str) -> None:
    """Remove the root with everything below it; where a process is left in a group, that group stays."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _hierarchies() -> list[Path]:
    if (_MOUNT / "cgroup.controllers").exists():
        return [_MOUNT]
    return [path for path in _MOUNT.iterdir() if path.is_dir() and not path.is_symlink()]
