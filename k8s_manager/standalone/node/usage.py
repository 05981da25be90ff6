"""What the containers of pods use, as a kubelet tells metrics-server: in files beside their logs.

A container is a session of processes. Its CPU is what they have used between two looks, those that they have waited for
included; its memory is what of them is resident.
"""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

EVERY = 5.0
"""Seconds between two looks."""
FILE = "usage.json"
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_SESSION, _TIMES, _RESIDENT = 3, slice(11, 15), 21
"""Fields of /proc/PID/stat behind the command (proc_pid_stat(5) counts from 1, with two before it)."""


@dataclass(slots=True)
class SessionUse:
    """Seconds of CPU that the processes of a session have used so far, and bytes that are resident."""

    seconds: float = 0.0
    resident: int = 0


def sessions() -> dict[int, SessionUse]:
    """Return what each session on this machine uses, by the identifier of its first process."""
    found: dict[int, SessionUse] = defaultdict(SessionUse)
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                fields = (place / "stat").read_bytes().rpartition(b")")[2].split()
                use = found[int(fields[_SESSION])]
                use.seconds += sum(map(int, fields[_TIMES])) / _TICKS
                use.resident += int(fields[_RESIDENT]) * _PAGE
    return dict(found)


Pods = Callable[[], Iterable[tuple[Path, Mapping[str, int]]]]
"""Gives the folder of each pod whose containers run, and the first process of each container."""


class UsageSampler:
    """Looks at the processes of pods again and again."""

    def __init__(self, pods: Pods) -> None:
        self._pods, self._before, self._then = pods, dict[int, SessionUse](), 0.0

    async def run(self) -> None:
        """Write what each pod uses until cancelled."""
        while True:
            # Reading all processes takes milliseconds; what is written has to be that of the pods that are there now.
            found = await asyncio.to_thread(sessions)
            self._write(found, asyncio.get_running_loop().time())
            await asyncio.sleep(EVERY)

    def _write(self, found: dict[int, SessionUse], now: float) -> None:
        passed = now - self._then
        for folder, containers in self._pods():
            uses = {name: self._usage(found, number, passed) for name, number in containers.items()}
            if uses and all(uses.values()):
                usages = [{"name": name, "usage": use} for name, use in uses.items()]
                moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                _replace(folder / FILE, {"timestamp": moment, "window": f"{passed:.3f}s", "containers": usages})
        self._before, self._then = found, now

    def _usage(self, found: dict[int, SessionUse], number: int, passed: float) -> dict[str, str]:
        """Return what a container uses as quantities; none before its second look."""
        use, before = found.get(number), self._before.get(number)
        if use is None or before is None or passed <= 0:
            return {}
        spent = max(0.0, use.seconds - before.seconds) / passed
        return {"cpu": f"{round(spent * 1e9)}n", "memory": f"{use.resident // 1024}Ki"}


def _replace(file: Path, content: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the pod has ended meanwhile
        new = file.with_suffix(".new")
        new.write_bytes(orjson.dumps(content))
        new.replace(file)
