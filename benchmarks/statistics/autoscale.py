"""Replicas against demands of an hour: the manager's decision beside the plain algorithm of Kubernetes' HPA.

All are pure and the demands are fixed, so every figure is a count: the share of time in which the warm replicas are
within one of what is needed, and the share of requests that are refused.
"""

from benchmarks.support.report import Figure, plain
from tests.support.demand_replays import Replay, refused, replays

LEAST_TRACKED, SLOW = 0.95, 600


async def run(quick: bool) -> list[Figure]:
    """Replay every demand, or each fifth of them."""
    found = replays()[::5] if quick else replays()
    return [*map(_line, found), _forecast([replay for replay in found if replay.plant.warm_up == SLOW])]


def _forecast(slow: list[Replay]) -> Figure:
    """Return what a forecast brings and costs where replicas warm up slowly."""
    without, ahead = ([replay.by_tidegate(forecasts) for replay in slow] for forecasts in (False, True))
    saved = [100 * sum(map(refused, loops)) / len(loops) for loops in (without, ahead)]
    least = 100 * min(replay.tracked(seconds) for replay, seconds in zip(slow, ahead, strict=True))
    return plain(
        f"with a forecast, warm after {SLOW} s",
        f"{saved[1]:.1f} % refused on average instead of {saved[0]:.1f} %; within one {least:.1f} % at least",
    )


def _line(replay: Replay) -> Figure:
    loops = {
        "": replay.by_tidegate(),
        "HPA on demand ": replay.by_hpa(by_demand=True),
        "HPA on CPU ": replay.by_hpa(by_demand=False),
    }
    said = [
        f"{name}{100 * replay.tracked(seconds):.1f} % ({100 * refused(seconds):.2f} % refused)"
        for name, seconds in loops.items()
    ]
    met = replay.tracked(loops[""]) >= LEAST_TRACKED
    return Figure(replay.name, "; ".join(said), f"at least {100 * LEAST_TRACKED:g} %", met, count=True)
