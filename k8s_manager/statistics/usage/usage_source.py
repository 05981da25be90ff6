"""Where usage comes from, as those who ask see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from k8s_manager.statistics.usage.pod_usage import PodUse

PATIENCE = 5.0
"""Seconds that a server has to answer: less than a caller of the REST API waits."""
MOST_BYTES = 16 * 2**20
"""Bytes of an answer of such a server."""


@dataclass(frozen=True, slots=True)
class UsageReading:
    """What the pods of a namespace use, by name, and in sentences what is not known and what to do.

    `answers_figures` and `answers_gpus` tell whether the server answered about CPU and memory, and about GPUs: where
    it did not, `gaps` says so already, and a pod without figures is no gap of its own. `is_away` tells that the server
    does not answer at all, whatever it is asked.
    """

    pods: Mapping[str, PodUse]
    gaps: tuple[str, ...] = ()
    answers_figures: bool = True
    answers_gpus: bool = True
    is_away: bool = False


class UsageSource(Protocol):
    """A server that measures pods."""

    unmeasured: str
    """What to do about pods that it has not measured."""
    unseen_gpus: str
    """What to do about GPUs of which it knows nothing."""

    async def read(self, namespace: str) -> UsageReading:
        """Return what the pods of a namespace use; a server that is away is a gap, not an error."""
