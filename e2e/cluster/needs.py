"""What a machine needs so that the cluster can run on it: looked at first, said in one line."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.errors import Missing

GO = (1, 26)
GO_FOLDERS = ("/usr/local/go/bin",)
CNI = Path("/usr/lib/cni")
PROGRAMS = {
    "containerd": "containerd", "ctr": "containerd", "runc": "runc", "etcd": "etcd-server", "nft": "nftables",
    "iptables": "iptables", "conntrack": "conntrack", "ip": "iproute2", "nsenter": "util-linux",
    "mount": "mount", "debootstrap": "debootstrap", "tar": "tar",
}  # fmt: skip
"""Each program with the Debian package that brings it."""


def go() -> Path | None:
    """Return a Go that is new enough."""
    for found in (shutil.which("go"), *(f"{folder}/go" for folder in GO_FOLDERS)):
        if found and Path(found).exists() and _version(found) >= GO:
            return Path(found)
    return None


def _version(program: str) -> tuple[int, int]:
    told = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def packages() -> list[str]:
    """Return the Debian packages that are missing."""
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not (CNI / "bridge").exists():
        missing.add("containernetworking-plugins")
    return sorted(missing)


def require() -> Path:
    """Return the Go to build with; raises `Missing`, naming everything that this machine lacks."""
    problems = [] if os.geteuid() == 0 else ["root (run it with sudo)"]
    found = go()
    if found is None:
        problems.append(f"Go {GO[0]}.{GO[1]} or newer (install it into {GO_FOLDERS[0].removesuffix('/bin')})")
    if missing := packages():
        problems.append(f"programs (apt-get install -y {' '.join(missing)})")
    if problems or found is None:
        raise Missing(f"the cluster needs {'; '.join(problems)}")
    return found
