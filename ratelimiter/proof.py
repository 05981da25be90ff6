"""What gateway pods run beside what was written: proved, on its way, rejected, or not to be told. Pure.

written ──> Pending ──(the pod shows its revision)──> Applied
               └──(too long without)──> Rejected ──(what was proved last is written again)──> rolled back
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["Applied", "Pending", "Rejected", "NoAnswer"]


@dataclass(frozen=True, slots=True)
class Written:
    """The revision of a slot that should run, and when it was written (seconds)."""

    revision: int
    at: float


@dataclass(frozen=True, slots=True)
class Proof:
    """How far one gateway pod is: `behind` are the slots that it does not run as written."""

    state: State
    behind: frozenset[int] = frozenset()


def judge(
    written: Mapping[int, Written], running: Mapping[int, int] | None, silent_for: float, now: float, patience: float
) -> Proof:
    """Return how far a gateway pod is, from what it shows (None: no answer for `silent_for` seconds)."""
    if running is None:
        return Proof("NoAnswer" if silent_for > patience else "Pending", frozenset(written))
    behind = {slot for slot, wanted in written.items() if running.get(slot) != wanted.revision}
    if not behind:
        return Proof("Applied")
    late = any(now - written[slot].at > patience for slot in behind)
    return Proof("Rejected" if late else "Pending", frozenset(behind))


def rejected_by_all(proofs: Mapping[str, Proof]) -> frozenset[int]:
    """Return the slots that no gateway pod which answers runs as written: then it is the configuration's fault."""
    answering = [proof for proof in proofs.values() if proof.state != "NoAnswer"]
    if not answering or any(proof.state != "Rejected" for proof in answering):
        return frozenset()
    return frozenset.intersection(*(proof.behind for proof in answering))
