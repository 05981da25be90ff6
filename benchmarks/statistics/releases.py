"""Generated releases decided by replay: the manager's decision beside Flagger's rule, on the same requests.

All is seeded, so every figure is a count. A bad version (5xx at least twice, or p99 at least 1.5 times the stable
one's) is promoted when it gets 100 %; one that is held stays at a step, for want of evidence, until a person decides.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.support.report import Figure, at_most, plain
from tests.support.release_replays import KINDS, ReleaseTrace, traces
from tests.support.release_runs import ReleaseEnd, by_flagger, by_tidegate

MOST_EQUAL_ABORTED = 2.0
Run = tuple[ReleaseTrace, ReleaseEnd]


async def run(quick: bool) -> list[Figure]:
    """Replay every release, or each tenth of them."""
    found = traces()[::10] if quick else traces()
    ours, peers = _runs(found, by_tidegate), _runs(found, by_flagger)
    return [
        *(plain(kind, f"{_ends(ours, kind)}; Flagger's rule: {_ends(peers, kind)}") for kind in KINDS),
        plain("requests that a bad version answered, median", f"{_answered(ours)}; Flagger's rule: {_answered(peers)}"),
        at_most("bad versions promoted", _promoted(ours), 0, count=True),
        plain("bad versions promoted by Flagger's rule", str(_promoted(peers))),
        at_most("equal versions aborted", _aborted(ours), MOST_EQUAL_ABORTED, " %", count=True),
        plain("equal versions aborted by Flagger's rule", f"{_aborted(peers):.3g} %"),
    ]


def _runs(found: Sequence[ReleaseTrace], rule: Callable[[ReleaseTrace], ReleaseEnd]) -> list[Run]:
    return [(trace, rule(trace)) for trace in found]


def _ends(runs: Sequence[Run], kind: str) -> str:
    counts = Counter(end.how for trace, end in runs if trace.kind == kind)
    return ", ".join(f"{counts[how]} {how}" for how in ("promoted", "aborted", "held") if counts[how])


def _answered(runs: Sequence[Run]) -> str:
    return f"{median(end.requests for trace, end in runs if trace.is_bad):.0f}"


def _promoted(runs: Sequence[Run]) -> int:
    return sum(trace.is_bad and end.how == "promoted" for trace, end in runs)


def _aborted(runs: Sequence[Run]) -> float:
    """Return the per cent of equal versions that were aborted."""
    ends = [end.how for trace, end in runs if trace.kind == "equal"]
    return 100 * ends.count("aborted") / len(ends)
