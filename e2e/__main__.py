"""`python -m e2e [--keep] [PYTEST ARGUMENTS]`: run the scenarios. `python -m e2e --figures [quick] [NAME ...]`: measure.

`python -m e2e e2e/neighbours`: the scenarios beside real programs of others, which are built for them.

With E2E_KUBECONFIG they run against that cluster, where Istio must be installed already; without, against clusters of
their own, which are started for them and taken away afterwards: all scenarios in E2E_CLUSTERS of them side by side
(as many as the memory carries, three at most), single files in one.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import debian, neighbours, up
from e2e.cluster.errors import ClusterError, Failed, Missing
from e2e.cluster.node import Node
from e2e.cluster.place import PROJECT, Place
from tests.support.bounds import PATIENCE

SCENARIOS = "e2e/scenarios"
LOOKING_BACK = f"{SCENARIOS}/test_rights.py"
"""Judges what all the others did, and so runs after them."""
PYTEST = ("-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider", "--durations=15")
TELLING = ("-v", "-q", "--durations", "--tb=", "--color")
"""Arguments of pytest that choose no scenarios."""
CLUSTER_PATIENCE = "5"
"""Pods, rollouts and leases of a cluster take so many times as long as what tests of one process wait for."""
GIB_FOR_A_CLUSTER, MOST_CLUSTERS = 2, 3


def main(words: list[str]) -> int:
    """Return pytest's exit code."""
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    keep = "--keep" in words
    wanted = [word for word in words if word != "--keep"]
    try:
        return _given(wanted) if os.environ.get("E2E_KUBECONFIG") else _own(wanted, keep)
    except ClusterError as error:
        print(f"tidegate e2e: {error}", file=sys.stderr)
        return 1


def clusters() -> int:
    """Return how many clusters run side by side."""
    said = os.environ.get("E2E_CLUSTERS")
    if said is None:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return carried(int(lines["MemAvailable"].split()[0]))
    if not said.isdecimal() or int(said) < 1:
        raise Missing(f"E2E_CLUSTERS is {said!r}; it says how many clusters run side by side: 1 or more")
    return int(said)


def carried(free: int) -> int:
    """Return how many clusters so many KiB of memory carry."""
    return max(1, min(MOST_CLUSTERS, free // (GIB_FOR_A_CLUSTER * 2**20)))


def _own(words: list[str], keep: bool) -> int:
    if starter := Node(Place(), {}).starter():
        raise Failed(f"process {starter.pid} runs scenarios in clusters of its own; wait for its end, or stop it")
    there = up.runs(Place())
    whole = all(word.startswith(TELLING) for word in words)
    places = [Place.numbered(number) for number in range(clusters() if whole and not there and not keep else 1)]
    archives = neighbours.archives(places[0], words)
    if there:
        print("using the cluster that runs already; make cluster-down takes it away", flush=True)
        up.load(places[0])
    else:
        up.up(places)
    try:
        neighbours.load(places[0], archives)
        environment = _environment(places)
        if "--figures" in words:
            return _figures(places[0].inside, words, environment)
        if len(places) > 1:
            code = _side_by_side(places, words, environment)
        else:
            code = _pytest(places[0].inside, [*words, *_unnamed(words)], environment)
        looked_back = _pytest(places[0].inside, [LOOKING_BACK], environment) if whole else 0
        return code or looked_back
    finally:
        if not (there or keep):
            up.down(places)


def _environment(places: Sequence[Place]) -> dict[str, str]:
    programs = up.programs(places[0])
    return {
        **os.environ,
        "E2E_KUBECONFIG": str(places[0].kubeconfig),
        "E2E_KUBECTL": str(programs["kubectl"]),
        "E2E_ISTIOCTL": str(programs["istioctl"]),
        "E2E_PROMETHEUS": str(debian.unpacked(places[0], "prometheus")),
        "E2E_OWN": "0",
        "E2E_AUDIT_LOGS": os.pathsep.join(str(place.audit_log) for place in places),
    }


def _side_by_side(places: Sequence[Place], words: list[str], environment: dict[str, str]) -> int:
    """Give every cluster a worker in its network; each takes the next file of scenarios when it has done one."""
    workers = [
        f"--tx=popen//id=cluster{number}//python={' '.join([*place.inside, sys.executable])}"
        f"//env:E2E_KUBECONFIG={place.kubeconfig}//env:E2E_OWN={number}"
        for number, place in enumerate(places)
    ]
    spread = ["--dist=loadfile", "--no-loadscope-reorder", *workers]
    return _pytest((), [*spread, *words, *_unnamed(words)], environment)


def _figures(inside: tuple[str, ...], words: list[str], environment: dict[str, str]) -> int:
    subprocess.run([*inside, sys.executable, "-m", "e2e.support.install"], cwd=PROJECT, env=environment, check=True)
    return _run(
        [*inside, sys.executable, "-m", "e2e.figures", *(word for word in words if word != "--figures")], environment
    )


def _given(words: list[str]) -> int:
    if shutil.which(os.environ.get("E2E_KUBECTL", "kubectl")) is None:
        raise Missing("the scenarios need kubectl on the PATH, or its path in E2E_KUBECTL")
    if "--figures" in words:
        return _figures((), words, dict(os.environ))
    return _pytest((), ["-m", "not own_cluster", *words, *_unnamed(words)], dict(os.environ))


def _unnamed(words: list[str]) -> list[str]:
    """Return where to look for scenarios if no file is named: everywhere, but for those that judge all others."""
    named = any(word.startswith((f"{SCENARIOS}/", neighbours.SCENARIOS)) for word in words)
    return [] if named else [SCENARIOS, f"--ignore={LOOKING_BACK}"]


def _pytest(inside: tuple[str, ...], words: list[str], environment: dict[str, str]) -> int:
    return _run([*inside, sys.executable, *PYTEST, *words], environment)


def _run(command: list[str], environment: dict[str, str]) -> int:
    patient = {PATIENCE: CLUSTER_PATIENCE, **environment}
    return subprocess.run(command, cwd=PROJECT, env=patient, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
