"""Generated releases decided by replay: the manager's decision beside Flagger's rule, on the same requests.

All is seeded, so every figure is a count. A bad version (5xx at least twice, or p99 at least 1.5 times the stable
one's) is promoted when it gets 100 %; one that is held stays at a step, for want of evidence, until a person decides.
The rule with tuned bounds is given what is not known beforehand: what the stable version does in the long run.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks.support.report import Figure, at_most, plain
from tests.support.release_replays import KINDS, ReleaseTrace, traces
from tests.support.release_runs import ReleaseEnd, by_flagger, by_tidegate, by_tuned_flagger

MOST_EQUAL_ABORTED = 2.0
Run = tuple[ReleaseTrace, ReleaseEnd]


async def run(quick: bool) -> list[Figure]:
    """Replay every release, or each tenth of them."""
    found = traces()[::10] if quick else traces()
    ours = _runs(found, by_tidegate)
    peers = {"Flagger's rule": _runs(found, by_flagger), "its bounds tuned": _runs(found, by_tuned_flagger)}
    kinds = [_beside(kind, _ends, ours, peers, kind) for kind in KINDS]
    return [
        *kinds,
        _beside("requests that a bad version answered, median", _answered, ours, peers),
        _beside("hours until a version was promoted, median", _hours, ours, peers),
        at_most("bad versions promoted", _promoted(ours), 0, count=True),
        *(plain(f"bad versions promoted by {name}", str(_promoted(runs))) for name, runs in peers.items()),
        at_most("equal versions aborted", _aborted(ours), MOST_EQUAL_ABORTED, " %", count=True),
        *(plain(f"equal versions aborted by {name}", f"{_aborted(runs):.3g} %") for name, runs in peers.items()),
    ]


def _beside(
    what: str, said: Callable[..., str], ours: Sequence[Run], peers: Mapping[str, Sequence[Run]], *more: str
) -> Figure:
    """Return what is said of our runs, and of the peers' beside them."""
    beside = [f"{name}: {said(runs, *more)}" for name, runs in peers.items()]
    return plain(what, "; ".join([said(ours, *more), *beside]))


def _runs(found: Sequence[ReleaseTrace], rule: Callable[[ReleaseTrace], ReleaseEnd]) -> list[Run]:
    return [(trace, rule(trace)) for trace in found]


def _ends(runs: Sequence[Run], kind: str) -> str:
    counts = Counter(end.how for trace, end in runs if trace.kind == kind)
    return ", ".join(f"{counts[how]} {how}" for how in ("promoted", "aborted", "held") if counts[how])


def _answered(runs: Sequence[Run]) -> str:
    return f"{median(end.requests for trace, end in runs if trace.is_bad):.0f}"


def _hours(runs: Sequence[Run]) -> str:
    return f"{median(end.seconds for _, end in runs if end.how == 'promoted') / 3600:.2g}"


def _promoted(runs: Sequence[Run]) -> int:
    return sum(trace.is_bad and end.how == "promoted" for trace, end in runs)


def _aborted(runs: Sequence[Run]) -> float:
    """Return the per cent of equal versions that were aborted."""
    ends = [end.how for trace, end in runs if trace.kind == "equal"]
    return 100 * ends.count("aborted") / len(ends)
