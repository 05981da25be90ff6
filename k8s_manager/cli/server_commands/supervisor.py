"""A process that lets a child do its work, and starts another when that one is killed.

So the container around it goes on: Kubernetes takes a pod whose sidecar starts again for not ready.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from k8s_manager.runtime.backoff import Backoff

AT_ONCE = 5.0  # seconds: what ends by itself so soon cannot work, and the container ends with it
BACKOFF = Backoff(0.1, 5.0)
_STOPS = (signal.SIGTERM, signal.SIGINT)


def supervise(pause: Callable[[float], None] = time.sleep) -> None:
    """Return in a child, again in another one when that is killed. The caller's own process ends when it gets
    SIGTERM (its child then ends first), or with a child that ended by itself within `AT_ONCE`."""
    supervisor = _Supervisor()
    ends = 0
    while True:
        began = time.monotonic()
        if supervisor.fork():
            return
        code = supervisor.wait()
        lasted = time.monotonic() - began
        if supervisor.stopping or (code >= 0 and lasted < AT_ONCE):
            sys.exit(max(code, 0))
        print(f"tidegate: the process ended with {code}; another one begins", file=sys.stderr, flush=True)  # noqa: T201
        ends = 1 if lasted > 10 * BACKOFF.longest else ends + 1
        pause(BACKOFF.after(ends))


class _Supervisor:
    """The parent's side: one child at a time, which gets the parent's signals."""

    def __init__(self) -> None:
        self.stopping = False
        self._child = 0

    def fork(self) -> bool:
        """Start a child; tell whether this is it. A signal in between comes to the one that it is for."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        self._child = os.fork()
        for number in _STOPS:
            signal.signal(number, self._pass_on if self._child else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        return self._child == 0

    def wait(self) -> int:
        """Wait for the child's end; return its exit code, a signal's number negative."""
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self.stopping = True
        if not self._child:
            sys.exit(0)
        try:
            os.kill(self._child, number)
        except ProcessLookupError:  # it ended in this very moment
            sys.exit(0)
