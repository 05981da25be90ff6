"""What a run with faults must have in common with the one without."""

from functools import cache

from tests.faults.end_state import differences
from tests.faults.injection import Injection, injection_of
from tests.faults.run import Outcome, Scene, play
from tests.faults.scenes import SCENES
from tests.faults.verdict import Verdict

MORE_WRITES = 2
"""How often more than without faults an object may be written for each death or failed call."""
MOST_SECONDS, MOST_CALLS = 30.0, 5.0
"""How long after the last fault the end state must stand, and how many times as many calls a run may make."""
SHOWN = 6


@cache
def reference(scene: str) -> Outcome:
    """Return the outcome of a scene without faults."""
    found = play(SCENES[scene])
    assert not (found.stuck or found.crashes or found.errors), (scene, found.stuck, found.crashes, found.errors)
    return found


def tried(scene: str, injections: str) -> Verdict:
    """Run a scene with injections, which are texts with `+` between them, and compare it with its reference."""
    parsed = tuple(injection_of(text) for text in injections.split("+"))
    expected, found = reference(scene), play(SCENES[scene], parsed)
    return Verdict(tuple(problems(expected, found, parsed, SCENES[scene])), figures(expected, found))


def figures(expected: Outcome, found: Outcome) -> dict[str, float]:
    """Return how long after the last fault the end state stood, and how many times as many calls were made."""
    calls = sum(found.calls.values()) / sum(expected.calls.values())
    return {"seconds to the end state": _late(expected, found), "calls, times the usual": calls / (1 + found.deaths)}


def problems(expected: Outcome, found: Outcome, injections: tuple[Injection, ...], scene: Scene) -> list[str]:
    """Return in what a run is not as the reference: its end, its objects, its writes, its calls, its time."""
    out = [f"the manager ended: {crash}" for crash in found.crashes]
    out += [f"unforeseen: {error}" for error in found.errors[:SHOWN]]
    if found.stuck:
        out.append(found.stuck)
    out += differences(expected.state, found.state)[:SHOWN]
    out += _writes(expected, found, int(scene.counting))
    shown = figures(expected, found)
    late, calls = shown["seconds to the end state"], shown["calls, times the usual"]
    if calls > MOST_CALLS:
        out.append(f"{calls:.1f} times as many calls as usual")
    if late > MOST_SECONDS + scene.counting + scene.later:
        out.append(f"the last write came {late:.0f} s after the last fault")
    if injections and not (found.deaths or found.hits):
        out.append("nothing went wrong: the plan does not fit the scene any more")
    return out


def _late(expected: Outcome, found: Outcome) -> float:
    """Return how long after the last fault the last write came, beyond what it takes without faults."""
    return max(0.0, found.settled - max(found.ended, expected.settled))


def _writes(expected: Outcome, found: Outcome, more: int) -> list[str]:
    allowed = MORE_WRITES * (1 + found.deaths + found.hits) + more
    return [
        f"{name} was written {count} times, where {expected.writes[name]} are usual"
        for name, count in found.writes.items()
        if not name.startswith(("Event ", "Pod ")) and count > expected.writes[name] + allowed
    ][:SHOWN]
