"""The node of the cluster that was built here, for scenarios that stop parts of it."""

import os
from pathlib import Path

from e2e.cluster import up
from e2e.cluster.node import Node
from e2e.cluster.place import Place


def own_node() -> Node:
    """Return the node; the scenario that calls this is marked `own_cluster`."""
    place = Place.numbered(int(os.environ["E2E_OWN"]))
    assert Path(os.environ["E2E_KUBECONFIG"]) == place.kubeconfig
    return Node(place, up.programs(place))
