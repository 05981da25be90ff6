"""The cluster's long-running processes: started with a log each, remembered in a file, stopped by their ids."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Started:
    """A process, told from a later one with the same id by the moment of its start."""

    name: str
    pid: int
    since: str

    def runs(self) -> bool:
        """Tell whether it still runs."""
        return _since(self.pid) == self.since


class Processes:
    """Everything that was started and may still run."""

    def __init__(self, file: Path, logs: Path) -> None:
        self._file, self._logs = file, logs

    def start(self, name: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> Started:
        """Start a process in a session of its own; what it prints is appended to its log."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            made = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **(env or {})},
            )  # fmt: skip
        started = Started(name, made.pid, _since(made.pid) or "")
        self._save([*(other for other in self.all() if other.name != name), started])
        return started

    def all(self) -> list[Started]:
        """Return what was started, oldest first."""
        if not self._file.exists():
            return []
        return [Started(**entry) for entry in json.loads(self._file.read_text())]

    def find(self, name: str) -> Started | None:
        """Return the process of a name."""
        return next((started for started in self.all() if started.name == name), None)

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        return self._logs / f"{name}.log"

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """Stop a process and wait for its end; it is killed when it does not end."""
        started = self.find(name)
        if started is None:
            return
        for attempt in (number, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if started.runs():
                    os.kill(started.pid, attempt)
            if ended(started, STOP_SECONDS):
                break
        self._save([other for other in self.all() if other.name != name])

    def _save(self, entries: list[Started]) -> None:
        self._file.write_text(json.dumps([asdict(entry) for entry in entries]))


def this_process() -> Started:
    """Return the process that calls."""
    return Started("this process", os.getpid(), _since(os.getpid()) or "")


def ended(started: Started, seconds: float) -> bool:
    """Wait for the end of a process; tell whether it came."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _reap(started.pid)
        if not started.runs():
            return True
        time.sleep(0.05)
    return False


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # started by another run of this program


def _since(pid: int) -> str | None:
    """Return the start time of a process (proc(5), stat field 22), None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else fields[19]
