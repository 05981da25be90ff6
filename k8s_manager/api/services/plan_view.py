"""What the REST API sees of the main loop: the world and the plan of its last pass."""

import asyncio
from typing import Protocol

from k8s_manager.pipeline.plan import Plan
from k8s_manager.world.world import World


class PlanView(Protocol):
    """The last pass; before the first one there is no world, and the plan is empty."""

    @property
    def world(self) -> World | None:
        """The world that the plan was made from."""

    @property
    def plan(self) -> Plan:
        """What should exist."""

    @property
    def passed(self) -> asyncio.Event:
        """Set once a pass has succeeded."""
