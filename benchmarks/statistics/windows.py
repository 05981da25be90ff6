"""Release windows on synthetic years: how often the chosen start is near the best one, which is known afterwards.

All is pure and seeded, so every figure is a count. Beside it, on the same weeks and outside the same freezes: Sunday at
three, the best start of last week alone, and a forecast that knows the mean of every slot, which no history can beat.
"""

from collections.abc import Iterator, Sequence

from benchmarks.support.report import Figure, plain
from k8s_manager.release.windows.window_decision import WindowReason
from tests.support.load_years import KINDS, WILD, YearKind, load_year
from tests.support.window_replays import Week, YearReplay, in_a_freeze, is_near

LEAST_NEAR = 0.95
OTHER_SEEDS = ("A", "B")


async def run(quick: bool) -> list[Figure]:
    """Replay every year, or each fifth of them; a full run repeats all with other noise."""
    figures, weeks, frozen = [], list[Week](), 0
    for number, kind in list(enumerate(KINDS))[:: 5 if quick else 1]:
        replay = _replay(number, kind)
        found = list(replay.weeks())
        weeks += found
        frozen += sum(in_a_freeze(replay, week.decision) for week in found)
        figures.append(plain(kind.name, _shares(found)))
    figures.append(Figure("all", _shares(weeks), f"at least {LEAST_NEAR:.0%}", _near(weeks) >= LEAST_NEAR, not quick))
    figures.append(Figure("windows in a freeze", str(frozen), "none", frozen == 0, count=True))
    lost = sum(week.decision.start is None and week.known_mean is not None for week in weeks)
    figures.append(plain("weeks without a window although there is a start outside freezes", str(lost)))
    return figures if quick else [*figures, *_beside()]


def _beside() -> Iterator[Figure]:
    """Yield the years again with other noise, and the one that is too wild for any forecast."""
    for seed in OTHER_SEEDS:
        weeks = [week for number, kind in enumerate(KINDS) for week in _replay(number, kind, seed).weeks()]
        yield plain(f"all, with other noise ({seed})", _shares(weeks))
    yield plain(WILD.name, _shares(list(_replay(0, WILD).weeks())))


def _replay(number: int, kind: YearKind, seed: str = "") -> YearReplay:
    """Return a year; every other one is frozen over weekends."""
    return YearReplay(load_year(kind, seed), weekends=number % 2 == 1)


def _counted(weeks: Sequence[Week]) -> list[Week]:
    """Return the weeks in which there is a start outside freezes."""
    return [week for week in weeks if week.known_mean is not None]


def _near(weeks: Sequence[Week]) -> float:
    counted = _counted(weeks)
    return sum(is_near(week.ours) for week in counted) / len(counted)


def _shares(weeks: Sequence[Week]) -> str:
    counted = _counted(weeks)
    kinds = {
        "": [week.ours for week in counted],
        "Sunday at three ": [week.fixed for week in counted],
        "last week alone ": [week.last_week for week in counted],
        "known mean ": [week.known_mean for week in counted],
    }
    said = [f"{name}{100 * sum(map(is_near, ratios)) / len(ratios):.1f} %" for name, ratios in kinds.items()]
    blind = sum(week.decision.reason is WindowReason.TOO_LITTLE_HISTORY for week in counted)
    return "; ".join([*said, f"{len(counted)} weeks", *([f"{blind} without a forecast"] if blind else [])])
