"""Build the programs from their Go modules, once for each set of versions."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.place import SOURCES, Place
from e2e.cluster.run import run
from e2e.cluster.versions import ARGO_ROLLOUTS, HUB, ISTIO, KEDA, KUBERNETES

_STAMP = "k8s.io/component-base/version"
_ISTIO = "istio.io/istio/pkg/version"
_KEDA = "github.com/kedacore/keda/v2/version"
_ARGO = "github.com/argoproj/argo-rollouts/utils/version"


@dataclass(frozen=True, slots=True)
class Module:
    """A folder with a go.mod, what is built from it, and what the linker writes into it."""

    folder: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    stamps: tuple[str, ...] = ()


MODULES = (
    Module("pause", (".",), ("pause",)),
    Module("coredns", (".",), ("coredns",)),
    Module("metrics-server", ("tool",), ("metrics-server",)),
    Module(
        "istio",
        ("tool",),
        ("istioctl", "pilot-agent", "pilot-discovery"),
        (f"{_ISTIO}.buildVersion={ISTIO}", f"{_ISTIO}.buildTag={ISTIO}", f"{_ISTIO}.buildHub={HUB}",
         f"{_ISTIO}.buildStatus=Clean"),
    ),
    Module(
        "kubernetes",
        ("tool",),
        ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"),
        (f"{_STAMP}.gitVersion=v{KUBERNETES}", f"{_STAMP}.gitMajor={KUBERNETES.split('.')[0]}",
         f"{_STAMP}.gitMinor={KUBERNETES.split('.')[1]}"),
    ),
)  # fmt: skip
KEDA_MODULE = Module(
    "keda", ("tool",), ("adapter", "operator"), (f"{_KEDA}.Version={KEDA}", f"{_KEDA}.GitCommit=v{KEDA}")
)
ARGO_MODULE = Module("argo-rollouts", ("tool",), ("rollouts-controller",), (f"{_ARGO}.version=v{ARGO_ROLLOUTS}",))
"""No parts of the cluster: built where their scenarios are run."""


def programs(place: Place, go: Path) -> dict[str, Path]:
    """Return every program's path, building what is not in the cache."""
    return {program: path for module in MODULES for program, path in build(module, place, go).items()}


def build(module: Module, place: Place, go: Path) -> dict[str, Path]:
    """Return the paths of a module's programs."""
    source = SOURCES / module.folder
    target = place.cache / f"{module.folder}-{key_of([*module.stamps, go_version(go)], sorted(source.iterdir()))}"
    found = {program: target / program for program in module.programs}
    if all(path.exists() for path in found.values()):
        return found
    print(f"building {', '.join(module.programs)} (once; it takes minutes)", flush=True)
    target.mkdir(parents=True, exist_ok=True)
    flags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in module.stamps)])
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}
    run(go, "build", "-o", f"{target}/", "-ldflags", flags, *module.packages, cwd=source, env=environment)
    return found


def go_version(go: Path) -> str:
    """Return the version of a Go."""
    return run(go, "env", "GOVERSION").strip()


def module_folder(go: Path, folder: str, path: str) -> Path:
    """Return where Go keeps the source of a module that `folder`'s go.mod names."""
    return Path(run(go, "list", "-m", "-f", "{{.Dir}}", path, cwd=SOURCES / folder).strip())


def key_of(words: Iterable[str], files: Iterable[Path]) -> str:
    """Return a name for what is made of these words and files."""
    digest = hashlib.sha256("\0".join(words).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
