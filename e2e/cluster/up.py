"""From nothing to a cluster with Istio, and back."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
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
        down([place])
    return False


def up(places: Sequence[Place]) -> list[Node]:
    """Start clusters side by side; where one does not come up all are taken away again, their logs stay."""
    if taken := [place.name for place in places if runs(place)]:
        raise Failed(f"{', '.join(taken)} is there already; end it with: make cluster-down")
    with timed("programs"):
        built = programs(places[0])
    with timed("images"):
        archives = images(places[0])
    nodes = [Node(place, built) for place in places]
    claimed: list[Place] = []
    try:
        for node in nodes:
            node.claim()
            claimed.append(node.place)
        _start_all(nodes, archives)
    except BaseException:
        print("taking away what was started", flush=True)
        down(claimed)
        raise
    return nodes


def _start_all(nodes: Sequence[Node], archives: dict[str, Path]) -> None:
    """Start clusters side by side; return or raise when none of them is being started any more."""
    threads = ThreadPoolExecutor(len(nodes))
    starts = {node.place.name: threads.submit(_start, node, archives) for node in nodes}
    try:
        wait(starts.values())
    finally:  # also where a person interrupts
        threads.shutdown(cancel_futures=True)
    failed = {name: error for name, start in starts.items() if (error := start.exception())}
    if failed:
        raise Failed("\n".join(f"{name}: {error}" for name, error in failed.items())) from next(iter(failed.values()))


def _start(node: Node, archives: dict[str, Path]) -> None:
    with timed(f"{node.place.name}: Kubernetes"):
        node.start(archives)
    with timed(f"{node.place.name}: Istio"):
        istio.install(node)


def load(place: Place) -> None:
    """Bring the images of a running cluster up to date with the work tree."""
    node, archives = Node(place, {}), images(place)
    for reference in (recipes.TIDEGATE, recipes.TIDEGATE_PREVIOUS, recipes.MODEL):
        node.load(archives[reference])


def down(places: Sequence[Place]) -> None:
    """Take clusters away; nothing is said where there is none."""
    needs.require()
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda place: Node(place, {}).stop(), places))


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long a step took."""
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)
