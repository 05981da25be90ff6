"""Install Tidegate as a user would."""

from e2e.cluster.place import PROJECT
from e2e.support.site import SYSTEM, kubectl


def install() -> None:
    """Apply the shipped manifests and wait for the managers; where they run already, start them anew."""
    there = "tidegate" in kubectl("-n", SYSTEM, "get", "deployments", "-o", "name", check=False)
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(PROJECT / "manifests"))
    if there:
        kubectl("-n", SYSTEM, "rollout", "restart", "deployment/tidegate")
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/tidegate", "--timeout=120s")


if __name__ == "__main__":
    install()
