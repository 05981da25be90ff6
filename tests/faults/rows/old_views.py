"""R3: a manager that sees the past, after a reset or at its start: nothing is written that was overcome, nothing deleted."""

from collections.abc import Iterable

from tests.faults.injection import Death, injection_of
from tests.faults.oracle import figures, problems, reference
from tests.faults.run import Outcome, play
from tests.faults.scenes import SCENES
from tests.faults.verdict import Verdict

NAME, AT_LEAST, SAMPLE = "R3", 200, 5
TITLE = "The manager sees the past after a reset or at its start: no write that goes back, no deletion"
KINDS = ("*", "Tenant", "Model", "InferenceGateway", "Pod", "VirtualService", "EnvoyFilter", "Namespace")
"""Of which kinds lists are old."""
BREAKS = (1, 2)
"""Lists that are old one after the other, of each kind."""


def plans(scenes: Iterable[str] = SCENES) -> list[str]:
    """Return one plan for each kind and length in some scenes, and for each start of a manager in the past."""
    found = []
    for scene in scenes:
        found += [
            f"{NAME}/{scene}/list:{kind}:1:{breaks * (21 if kind == '*' else 1)}:stale"
            for kind in KINDS
            for breaks in BREAKS
        ]
        made = reference(scene).made
        found += [f"{NAME}/{scene}/kill:after:{n}+list:*:1:42:stale" for n in sorted({max(1, made // 2), made}) if made]
    return found


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    _, scene, text = plan.split("/")
    injections = tuple(injection_of(part) for part in text.split("+"))
    expected, found = reference(scene), play(SCENES[scene], injections)
    deaths = tuple(one for one in injections if isinstance(one, Death))
    usual = play(SCENES[scene], deaths) if deaths else expected
    wrong = problems(expected, found, (), SCENES[scene])
    return Verdict((*wrong, *_steps_back(usual, found)), figures(expected, found))


def _steps_back(expected: Outcome, found: Outcome) -> list[str]:
    """Return the objects that the manager deleted though they stay, and those that it brought back to an older state."""
    out = [f"{name} was deleted" for name in sorted(found.deleted - expected.deleted)]
    for name, states in found.states.items():
        back = [state for number, state in enumerate(states) if state in states[:number]]
        allowed = [
            state
            for number, state in enumerate(expected.states.get(name, []))
            if state in expected.states[name][:number]
        ]
        if len(back) > len(allowed):
            out.append(f"{name} was set back to what it was before")
    return out
