"""From nothing to a cluster with Istio, and back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import build, istio, needs, network, recipes
from e2e.cluster.errors import Failed
from e2e.cluster.node import Node
from e2e.cluster.place import Place
from k8s_manager.standalone.node.gateway import envoy_binary


def programs(place: Place) -> dict[str, Path]:
    """Return every program, built if need be; raises `Missing` where this machine lacks something."""
    return build.programs(place, needs.require())


def images(place: Place) -> dict[str, Path]:
    """Return every image, made if need be."""
    go = needs.require()
    return recipes.images(place, build.programs(place, go), go, Path(envoy_binary()))


def runs(place: Place) -> bool:
    """Tell whether the cluster runs; what is left of one that does not (the machine went down) is taken away."""
    if Node(place, {}).runs():
        return True
    if place.state.exists() or network.exists(place.name):
        print(f"{place.state} is left of a cluster that does not run any more: taking it away", flush=True)
        down(place)
    return False


def up(place: Place) -> Node:
    """Start a cluster; one that does not come up is taken away again, its logs stay."""
    if runs(place):
        raise Failed("a cluster is there already; end it with: make cluster-down")
    with timed("programs"):
        built = programs(place)
    with timed("images"):
        archives = images(place)
    node = Node(place, built)
    node.claim()
    try:
        with timed("Kubernetes"):
            node.start(archives)
        with timed("Istio"):
            istio.install(node, place, built["istioctl"])
    except BaseException:
        node.stop()
        raise
    return node


def load(place: Place) -> None:
    """Bring the images of a running cluster up to date with the work tree."""
    node, archives = Node(place, {}), images(place)
    for reference in (recipes.TIDEGATE, recipes.MODEL):
        node.load(archives[reference])


def down(place: Place) -> None:
    """Take the cluster away; nothing is said where there is none."""
    needs.require()
    Node(place, {}).stop()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long a step took."""
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)
