"""Programs of others beside which Tidegate is run: built and loaded only where their scenarios are asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from e2e.cluster import build, needs
from e2e.cluster.node import Node
from e2e.cluster.place import Place
from e2e.cluster.recipes import single
from e2e.cluster.versions import ARGO_ROLLOUTS, HUB, KEDA

SCENARIOS = "e2e/neighbours"
KEDA_OPERATOR = f"{HUB}/keda:{KEDA}"
KEDA_ADAPTER = f"{HUB}/keda-metrics-apiserver:{KEDA}"
ROLLOUTS_CONTROLLER = f"{HUB}/argo-rollouts:{ARGO_ROLLOUTS}"
_NOBODY = "65532"


def _keda(place: Place) -> list[Path]:
    built = build.build(build.KEDA_MODULE, place, needs.require())
    return [
        single(place, KEDA_OPERATOR, built["operator"], "keda", _NOBODY),
        single(place, KEDA_ADAPTER, built["adapter"], "keda-adapter", _NOBODY),
    ]


def _argo_rollouts(place: Place) -> list[Path]:
    built = build.build(build.ARGO_MODULE, place, needs.require())
    return [single(place, ROLLOUTS_CONTROLLER, built["rollouts-controller"], "rollouts-controller", _NOBODY)]


IMAGES: Mapping[str, Callable[[Place], list[Path]]] = {
    "test_argo_rollouts.py": _argo_rollouts,
    "test_argo_rollouts_peer.py": _argo_rollouts,
    "test_keda.py": _keda,
}
"""What makes the images of each file of scenarios."""


def wanted(words: Sequence[str]) -> list[str]:
    """Return the files of scenarios with neighbours that arguments of pytest ask for."""
    paths = [word.partition("::")[0].rstrip("/") for word in words if word.startswith(SCENARIOS)]
    return sorted(IMAGES) if SCENARIOS in paths else sorted({Path(path).name for path in paths} & IMAGES.keys())


def archives(place: Place, words: Sequence[str]) -> list[Path]:
    """Return the archives of the images that those scenarios need, making what is not in the cache."""
    return [archive for file in wanted(words) for archive in IMAGES[file](place)]


def load(place: Place, made: Sequence[Path]) -> None:
    """Give a running cluster these images."""
    for archive in made:
        Node(place, {}).load(archive)
