"""Effects: at most one for each key, none waited for too long, each failure due again."""

import asyncio
from collections import Counter

import pytest

from k8s_manager.kube.errors import Unavailable
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects
from tests.support.simulated import SimulatedClock, simulate


class Outside:
    """What effects do: they take so many seconds and fail so many times; `most` is how many were under way at once."""

    def __init__(self, seconds: float = 0.0, failures: int = 0, error: Exception | None = None) -> None:
        self.seconds, self.failures, self.error = seconds, failures, error or Unavailable("away")
        self.began: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.most, self.cancelled = 0, 0

    def effect(self, key: str):
        async def call() -> None:
            self.began[key] += 1
            self.under_way[key] += 1
            self.most = max(self.most, sum(self.under_way.values()))
            assert self.under_way[key] == 1
            try:
                await asyncio.sleep(self.seconds)
                if self.began[key] <= self.failures:
                    raise self.error
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.under_way[key] -= 1

        return call


def lane_of(places: int = 4, patience: float = 1.0):
    effects = Effects(SimulatedClock(), asyncio.Event())
    return effects, effects.lane("test", places, patience, Backoff(1.0, 8.0))


def test_a_late_effect_runs_on_alone_and_wakes_its_loop():
    async def main():
        effects, lane = lane_of()
        slow, quick, loop = Outside(8.0), Outside(), asyncio.get_running_loop()
        assert await lane.run({"slow": slow.effect("slow"), "quick": quick.effect("quick")}) == {"slow"}
        assert loop.time() == 1.0 and lane.late == {"slow"} and quick.began["quick"] == 1
        assert await lane.run({"slow": slow.effect("slow"), "quick": quick.effect("quick")}) == {"slow"}
        assert loop.time() == 1.0 and slow.began["slow"] == 1 and quick.began["quick"] == 2
        await effects.wake.wait()
        assert loop.time() == 8.0 and not lane.late and await lane.run({"quick": quick.effect("quick")}) == frozenset()

    simulate(main())


def test_one_group_that_hangs_holds_up_another_for_one_patience_only():
    async def main():
        _, lane = lane_of(places=2)
        slow, quick = Outside(60.0), Outside()
        wanted = {f"bad/{n}": slow.effect(f"bad/{n}") for n in range(50)} | {"good/1": quick.effect("good/1")}
        await lane.run(wanted, group=lambda key: key.partition("/")[0])
        assert quick.began["good/1"] == 1 and asyncio.get_running_loop().time() == 1.0 and slow.most == 2

    simulate(main())


def test_what_runs_on_is_bounded():
    async def main():
        _, lane = lane_of(places=2)
        slow = Outside(60.0)
        task = asyncio.create_task(lane.run({str(n): slow.effect(str(n)) for n in range(50)}))
        await asyncio.sleep(59)
        assert slow.most == 6
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert slow.cancelled == 6 and not sum(slow.under_way.values())

    simulate(main())


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("odd"), KeyError("x")])
def test_a_loop_makes_up_for_a_failure_without_a_trigger(error):
    async def main():
        effects, lane = lane_of()
        outside = Outside(failures=4, error=error)
        done = asyncio.Event()

        async def one_pass() -> None:
            if not done.is_set() and not await lane.run({"a": outside.effect("a")}):
                done.set()

        effects.wake.set()
        task = asyncio.create_task(control_loop("test", one_pass, effects, Cadence(), SimulatedClock()))
        await done.wait()
        assert outside.began["a"] == 5 and 7.5 <= asyncio.get_running_loop().time() <= 22.5
        await asyncio.sleep(1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return outside.began["a"]

    assert simulate(main()) == 5


def test_what_nobody_wants_any_more_does_not_run_the_loop_hot():
    async def main():
        effects, lane = lane_of()
        outside, passes = Outside(failures=10), Counter()

        async def one_pass() -> None:
            passes["made"] += 1
            if passes["made"] == 1:
                await lane.run({"a": outside.effect("a")})

        effects.wake.set()
        task = asyncio.create_task(control_loop("test", one_pass, effects, Cadence(), SimulatedClock()))
        await asyncio.sleep(1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return passes["made"], outside.began["a"]

    assert simulate(main()) == (2, 1)


def test_what_is_under_way_ends_with_its_loop():
    async def main():
        effects, lane = lane_of()
        slow = Outside(60.0)

        async def one_pass() -> None:
            await lane.run({"a": slow.effect("a")})

        effects.wake.set()
        task = asyncio.create_task(control_loop("test", one_pass, effects, Cadence(), SimulatedClock()))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert slow.cancelled == 1 and not lane.late and lane.book.may_begin("a", 5.0)

    simulate(main())


def test_a_server_that_asks_for_time_is_given_it():
    async def main():
        error = Unavailable("slow down")
        error.after = 30.0
        _, lane = lane_of()
        await lane.run({"a": Outside(failures=9, error=error).effect("a")})
        assert lane.book.next_due() == 30.0

    simulate(main())
