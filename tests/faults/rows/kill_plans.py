"""R1: the manager dies before and after every write of every workflow, and another goes on."""

from collections.abc import Iterable

from tests.faults.oracle import reference, tried
from tests.faults.scenes import SCENES
from tests.faults.verdict import Verdict

NAME, AT_LEAST, SAMPLE = "R1", 400, 6
TITLE = "The manager dies before and after every write of every workflow"


def plans(scenes: Iterable[str] = SCENES) -> list[str]:
    """Return one plan for each moment of each write of some scenes."""
    return [
        f"{NAME}/{scene}/kill:{moment}:{number}"
        for scene in scenes
        for number in range(1, reference(scene).made + 1)
        for moment in ("before", "after")
    ]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    _, scene, text = plan.split("/")
    return tried(scene, text)
