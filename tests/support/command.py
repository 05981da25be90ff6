"""The command line as a process with files and an environment of its own, without loading it for each command."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from tests.support.bounds import hung

_started: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []


def _server() -> socket.socket:
    """Return the connection to the server of this process, started with the first command."""
    if not _started:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.support.command_server", str(there.fileno())]
        with there:
            process = subprocess.Popen(command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)
        _started.append((here, process))
    return _started[0][0]


def end() -> None:
    """End the server, if there is one: it ends when nobody can ask it any more."""
    for connection, process in _started:
        connection.close()
        process.wait(hung())
    _started.clear()


async def run_command(*words: str, environment: Mapping[str, str], stdin: str = "") -> tuple[int, str, str]:
    """Run `tidegate WORDS`; return its exit code and what it printed to stdout and stderr."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        given.write(stdin.encode())
        given.seek(0)
        said, tell = os.pipe()
        try:
            request = json.dumps({"words": words, "environment": dict(environment)}).encode()
            files = [given.fileno(), out.fileno(), error.fileno(), tell]
            socket.send_fds(_server(), [request], files)
            os.close(tell)
            await _readable(said)
            code = int(os.read(said, 16))
        finally:
            os.close(said)
        out.seek(0)
        error.seek(0)
        return code, out.read().decode(), error.read().decode()


async def _readable(file: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(file, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_reader(file)
