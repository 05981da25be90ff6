"""Collectors, installed as a user would."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster.place import PROJECT
from e2e.support.site import SYSTEM, bounded, kubectl

MANIFESTS = str(PROJECT / "manifests" / "collector")


@contextmanager
def with_collectors() -> Iterator[None]:
    """Have collectors in the cluster."""
    kubectl("apply", "--server-side", "-k", MANIFESTS)
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/tidegate-collector", bounded())
    yield
    kubectl("delete", "-k", MANIFESTS, bounded())
