"""Settings of a collector, in a module of their own: the command line reads them without what they need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Settings of a collector: the cluster (None: the pod's own account), where it listens, the namespace in which
    collectors share the pods (None: there is no other), and who may read rows: holders of the token in a file, and
    `readers` with Kubernetes tokens for an audience."""

    kubeconfig: Path | None
    listen: tuple[str, int]
    namespace: str | None = None
    token_file: Path | None = None
    token_review: str | None = None
    readers: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    """Addresses of places where rows are kept besides the memory."""
    sink_credentials: Mapping[str, Path] = field(default_factory=dict)
    """The files with the credentials of those that ask for some, by address."""
    traces_url: str | None = None
    """The OTLP/HTTP endpoint that takes spans of its own work."""
