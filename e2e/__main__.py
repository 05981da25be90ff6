"""`python -m e2e [--keep] [PYTEST ARGUMENTS]`: run the scenarios. `python -m e2e --figures [quick] [NAME ...]`: measure.

With E2E_KUBECONFIG they run against that cluster, where Istio must be installed already; without, against a cluster
of their own, which is started for them and taken away afterwards.
"""

import os
import shutil
import subprocess
import sys

from e2e.cluster import debian, up
from e2e.cluster.errors import ClusterError, Missing
from e2e.cluster.place import PROJECT, Place


def main(words: list[str]) -> int:
    """Return pytest's exit code."""
    keep = "--keep" in words
    wanted = [word for word in words if word != "--keep"]
    try:
        return _given(wanted) if os.environ.get("E2E_KUBECONFIG") else _own(Place(), wanted, keep)
    except ClusterError as error:
        print(f"tidegate e2e: {error}", file=sys.stderr)
        return 1


def _own(place: Place, words: list[str], keep: bool) -> int:
    there = up.runs(place)
    programs = up.programs(place)
    prometheus = debian.unpacked(place, "prometheus")
    if there:
        up.load(place)
    else:
        up.up(place)
    environment = {
        **os.environ,
        "E2E_KUBECONFIG": str(place.kubeconfig),
        "E2E_KUBECTL": str(programs["kubectl"]),
        "E2E_ISTIOCTL": str(programs["istioctl"]),
        "E2E_PROMETHEUS": str(prometheus),
        "E2E_OWN": "yes",
    }
    try:
        return _pytest(place.inside, words, environment)
    finally:
        if not (there or keep):
            up.down(place)


def _given(words: list[str]) -> int:
    if shutil.which(os.environ.get("E2E_KUBECTL", "kubectl")) is None:
        raise Missing("the scenarios need kubectl on the PATH, or its path in E2E_KUBECTL")
    return _pytest((), ["-m", "not own_cluster", *words], dict(os.environ))


def _pytest(inside: tuple[str, ...], words: list[str], environment: dict[str, str]) -> int:
    if "--figures" in words:
        subprocess.run([*inside, sys.executable, "-m", "e2e.support.install"], cwd=PROJECT, env=environment, check=True)
        command = [*inside, sys.executable, "-m", "e2e.figures", *(word for word in words if word != "--figures")]
        return subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode
    named = [word for word in words if word.startswith("e2e/")]
    command = [
        *inside,
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "-p",
        "no:cacheprovider",
        "--durations=15",
        *words,
    ]
    return subprocess.run(
        [*command, *([] if named else ["e2e/scenarios"])], cwd=PROJECT, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
