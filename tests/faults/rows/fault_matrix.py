"""R4: verb x fault x workflow."""

from collections.abc import Iterable

from tests.faults.injection import CALL_FAULTS, WATCH_FAULTS, WRITES
from tests.faults.oracle import reference, tried
from tests.faults.scenes import SCENES
from tests.faults.verdict import Verdict

NAME, AT_LEAST, SAMPLE = "R4", 300, 8
TITLE = "Each fault of each verb in each workflow, three calls in a row (all watches at once)"
IN_A_ROW, WATCHES, THIRDS = 3, 21, 3


def plans(scenes: Iterable[str] = SCENES) -> list[str]:
    """Return a third of the cells of some scenes, another one for each: only verbs that a workflow uses."""
    order = list(SCENES)
    return [
        f"{NAME}/{scene}/{fault}" for scene in scenes for fault in _faults(scene)[order.index(scene) % THIRDS :: THIRDS]
    ]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    _, scene, text = plan.split("/")
    return tried(scene, text)


def _faults(scene: str) -> list[str]:
    used = {verb for verb, _ in reference(scene).script_calls}
    verbs = [verb for verb in ("get", *WRITES) if verb in used]
    of_calls = [f"{verb}:*:1:{IN_A_ROW}:{what}" for verb in verbs for what in CALL_FAULTS]
    of_lists = [f"list:*:1:{IN_A_ROW}:{what}" for what in CALL_FAULTS]
    return [*of_calls, *of_lists, *(f"watch:*:1:{WATCHES}:{what}" for what in WATCH_FAULTS)]
