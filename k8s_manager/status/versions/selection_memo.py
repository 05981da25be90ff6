"""Selections that were looked at: what has not changed since is not evaluated again in every pass.

Time changes what counts (a pin ends, an evaluation comes of age), so that each is looked at again every
`SELECTION_LOOK` seconds.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from istio_templates.documents import ModelSpec
from istio_templates.documents.versions.selection import VersionSelection
from istio_templates.facts import Manifest
from k8s_manager.release.live.model_figures import ModelFigures
from k8s_manager.release.selection.version_facts import ModelVersionFact
from k8s_manager.release.selection_status import selection_of
from k8s_manager.runtime.memo import Memo
from k8s_manager.world.world import Stored

SELECTION_LOOK = 30.0
"""Seconds after which a selection is looked at again without an event: crons, and choices that are due."""
_PARTS = ("rollout", "selection")
"""What of a model's status a selection goes by."""


class SelectionMemo:
    """Evaluates selections; one whose documents, status and figures have not changed only now and then."""

    def __init__(self) -> None:
        self._memo = Memo()

    def selection(
        self,
        stored: Stored[Any],
        spec: ModelSpec,
        selection: VersionSelection,
        versions: Sequence[ModelVersionFact],
        figures: ModelFigures,
        approvers: int,
        now: datetime,
    ) -> Manifest:
        """Return which version of a model should serve and why, as `status.selection` has it."""
        status = {name: stored.status.get(name) for name in _PARTS}
        look = int(now.timestamp() // SELECTION_LOOK)
        inputs = stored.document, status, versions, figures, approvers, look
        make = partial(selection_of, spec, selection, status, versions, now, figures, approvers)
        return self._memo.get(stored.key, inputs, make)

    def end_round(self) -> None:
        """Forget what was not asked for since the last call."""
        self._memo.end_round()
