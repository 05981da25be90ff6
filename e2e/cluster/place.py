"""Where a cluster keeps its things: one folder while it runs, one for its logs, one for what is built once."""

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SOURCES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one cluster, and the name of its network namespace."""

    name: str = "tidegate-e2e"
    state: Path = Path("/var/lib/tidegate-e2e")
    """Everything that lives and ends with the cluster: data, sockets, certificates."""
    logs: Path = PROJECT / ".e2e" / "logs"
    """One file for each process, `pods/` for containers; kept when the cluster is gone."""
    cache: Path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate-e2e"
    """Programs and image layers, each in a folder that its versions name."""

    @classmethod
    def numbered(cls, number: int) -> "Place":
        """Return the place of one of several clusters side by side; 0 is the one that `make cluster-up` starts."""
        first = cls()
        if number == 0:
            return first
        name = f"{first.name}-{number}"
        return cls(name, first.state.with_name(name), first.logs.with_name(f"logs-{number}"))

    @property
    def inside(self) -> tuple[str, ...]:
        """What stands before a command that runs in the cluster's network."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """What the API server noted of the manager's calls, a line each."""
        return self.logs / "audit.jsonl"

    @property
    def containerd_socket(self) -> Path:
        """Where the container runtime listens."""
        return self.state / "containerd.sock"


def there() -> list[Place]:
    """Return the places of `make cluster-up` and of clusters beside it that run or are left over."""
    first = Place()
    left = (path.name.removeprefix(f"{first.name}-") for path in first.state.parent.glob(f"{first.name}-*"))
    return [first, *(Place.numbered(int(number)) for number in left if number.isdecimal())]
