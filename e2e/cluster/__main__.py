"""`python -m e2e.cluster up | down | build`"""

import sys

from e2e.cluster import needs, up
from e2e.cluster.errors import ClusterError
from e2e.cluster.place import Place, there

_HELP = """usage: python -m e2e.cluster COMMAND

  build     build the programs and images that the cluster is made of (cached)
  up        start the cluster; prints how to use it
  down      take it away, with everything that a failure may have left
  packages  print the Debian packages that this machine lacks
"""


def main(words: list[str]) -> int:
    """Run one command; return the exit code."""
    place = Place()
    commands = {
        "build": lambda: up.images(place),
        "up": lambda: _up(place),
        "down": lambda: up.down(there()),
        "packages": lambda: print(" ".join(needs.packages())),
    }
    if len(words) != 1 or words[0] not in commands:
        print(_HELP, end="")
        return 0 if words in ([], ["--help"], ["-h"]) else 2
    try:
        commands[words[0]]()
    except ClusterError as error:
        print(f"tidegate e2e: {error}", file=sys.stderr)
        return 1
    return 0


def _up(place: Place) -> None:
    (node,) = up.up([place])
    kubectl = " ".join([*place.inside, str(node.program("kubectl")), "--kubeconfig", str(place.kubeconfig)])
    print(f"the cluster is up\n  logs     {place.logs}\n  kubectl  {kubectl}\n  end it   make cluster-down")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
