"""Install Tidegate as a user would."""

import json
import time

from e2e.cluster.place import PROJECT
from e2e.support.site import SYSTEM, bounded, kubectl
from tests.support.bounds import hung

REPLICAS = 2


def apply(manifests: str) -> None:
    """Apply manifests as a user would who installs or upgrades."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests)
    settled()


def install() -> None:
    """Apply the shipped manifests and wait for the managers; where they run already, start them anew."""
    there = "tidegate" in kubectl("-n", SYSTEM, "get", "deployments", "-o", "name", check=False)
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(PROJECT / "manifests"))
    if there:
        kubectl("-n", SYSTEM, "rollout", "restart", "deployment/tidegate")
    settled()


def settled() -> None:
    """Wait until the managers are rolled out and no former one is left: it would lead to its last moment."""
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/tidegate", bounded())
    began = time.monotonic()
    managers = ("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/name=tidegate", "-o", "json")
    while len(json.loads(kubectl(*managers))["items"]) != REPLICAS:
        if time.monotonic() - began > hung():
            raise AssertionError(f"there are not exactly {REPLICAS} managers after {time.monotonic() - began:.0f} s")
        time.sleep(0.3)


if __name__ == "__main__":
    install()
