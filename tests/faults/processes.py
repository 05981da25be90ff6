"""Managers that can be stopped and resumed like processes: while one is stopped, nothing of it runs, and time goes on."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from tests.faults.simulation import SimulatedLoop

_PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="")


class ProcessLoop(SimulatedLoop):
    """A loop whose callbacks belong to processes, by the context that they were made in."""

    def __init__(self) -> None:
        self._stopped: dict[str, list[asyncio.Handle]] = {}
        super().__init__()

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        """Schedule a callback, or keep it while its process is stopped."""
        context = contextvars.copy_context() if context is None else context
        held = self._stopped.get(context.get(_PROCESS, ""))
        if held is None:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        held.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a callback for a moment; it comes later where its process is stopped then."""
        context = contextvars.copy_context() if context is None else context
        timer: asyncio.TimerHandle

        def fire() -> None:
            if context.get(_PROCESS, "") in self._stopped:
                self.call_soon(run, context=context)
            else:
                run()

        def run() -> None:
            if not timer.cancelled():
                callback(*args)

        timer = super().call_at(when, fire, context=context)
        return timer

    def stop_process(self, name: str) -> None:
        """Stop a process between two of its callbacks."""
        held = self._stopped.setdefault(name, [])
        mine = [handle for handle in self._ready if handle._context.get(_PROCESS, "") == name]  # type: ignore[attr-defined]
        for handle in mine:
            self._ready.remove(handle)  # type: ignore[attr-defined]
        held.extend(mine)

    def resume_process(self, name: str) -> None:
        """Let a process go on with what waits for it."""
        self._ready.extend(self._stopped.pop(name, []))  # type: ignore[attr-defined]


def start_process(name: str, work: Callable[[], Any]) -> asyncio.Task[Any]:
    """Begin a task, and all that it begins, as a process."""
    context = contextvars.copy_context()
    context.run(_PROCESS.set, name)
    return asyncio.get_running_loop().create_task(work(), context=context)
