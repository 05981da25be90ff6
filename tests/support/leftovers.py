"""Processes that a run of the tests has started and not ended.

Every run has a value of its own in the environment, which children inherit and cannot lose by leaving their parent or
their process group. So no process of another run, or of another program, is ever taken for one of ours.
"""

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

from tests.support.bounds import hung

VARIABLE = "TIDEGATE_TEST_RUN"
PAUSE_SECONDS = 0.1


def begin() -> None:
    """Mark this process, so that all it starts from here on carries the mark."""
    os.environ[VARIABLE] = uuid.uuid4().hex


def mark() -> dict[str, str]:
    """Return the mark, for children that are given an environment of their own."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


def left() -> dict[int, str]:
    """Return the command lines of the processes that carry the mark, by process, once none of them ends any more."""
    began = time.monotonic()
    while (found := marked()) and time.monotonic() - began < hung():
        time.sleep(PAUSE_SECONDS)
    return found


def end(processes: dict[int, str]) -> None:
    """Kill processes that were left."""
    for number in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def marked() -> dict[int, str]:
    """Return the command lines of all processes but this one that carry the mark now, by process."""
    wanted, out = f"{VARIABLE}={os.environ[VARIABLE]}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                out[int(folder.name)] = command.decode(errors="replace")
    return out
