"""A child that is killed is followed by another; one that cannot work, or is told to stop, takes its parent with it."""

import asyncio
import os
import signal
import sys

import pytest

from tests.support.bounds import hung

WORK = "import os, time; from k8s_manager.cli.server_commands.supervisor import supervise; supervise(); print(os.getpid(), flush=True); "


async def started(work: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", WORK + work, stdout=pipe, stderr=pipe)


async def child(process: asyncio.subprocess.Process) -> int:
    return int(await asyncio.wait_for(process.stdout.readline(), hung()))


async def test_a_child_that_is_killed_is_followed_by_another():
    process = await started("time.sleep(60)")
    first = await child(process)
    os.kill(first, signal.SIGKILL)
    second = await child(process)
    assert len({process.pid, first, second}) == 3
    process.terminate()
    _, said = await asyncio.wait_for(process.communicate(), hung())
    assert process.returncode == 0
    assert said.decode().count("the process ended with -9; another one begins") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_what_ends_by_itself_at_once_ends_the_parent_with_its_code():
    process = await started("raise SystemExit(3)")
    await asyncio.wait_for(process.communicate(), hung())
    assert process.returncode == 3


async def test_a_child_that_is_told_to_stop_ends_in_its_own_way():
    process = await started(
        # Not by print: the signal may come while that still holds the buffer, and a handler cannot enter it again.
        "import signal; signal.signal(15, lambda *_: (os.write(1, b'tidied\\n'), os._exit(0))); "
        "os.write(1, b'on\\n'); time.sleep(60)"
    )
    await child(process)
    assert await process.stdout.readline() == b"on\n"
    process.terminate()
    out, _ = await asyncio.wait_for(process.communicate(), hung())
    assert (process.returncode, out) == (0, b"tidied\n")
