"""A container as a local process: started, watched, ended; it never outlives the node."""

import asyncio
import contextlib
import ctypes
import os
import signal
from pathlib import Path

LOG_MAX = 2**26
"""Bytes of one container's log."""
LOG_EVERY = 10.0
"""Seconds between two looks at its size."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_LISTEN = "0A"


async def start(words: list[str], variables: dict[str, str], folder: Path, log: Path) -> asyncio.subprocess.Process:
    """Start a process in a session of its own; what it prints goes to `log`. It ends when we do, however we end."""
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *words,
            env=variables,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def stop(process: asyncio.subprocess.Process, grace: float) -> None:
    """End a process and all it started: SIGTERM, then SIGKILL after `grace` seconds."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def listens_everywhere(ports: list[int]) -> list[int]:
    """Return those of `ports` on which some process listens on all addresses."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                address, _, port = local.partition(":")
                if state == _LISTEN and set(address) == {"0"}:
                    found.add(int(port, 16))
    return sorted(found & set(ports))


async def bounded(log: Path) -> None:
    """Empty a log whenever it has become large, as a kubelet begins another file; who follows it begins again."""
    while True:
        await asyncio.sleep(LOG_EVERY)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(_empty_large, log)


def _empty_large(log: Path) -> None:
    if log.stat().st_size > LOG_MAX:
        os.truncate(log, 0)


def tail(log: Path, size: int = 400) -> str:
    """Return the end of a log, for a message."""
    with contextlib.suppress(OSError):
        text = log.read_bytes()[-size:].decode("utf-8", "replace")
        return text.strip()
    return ""
