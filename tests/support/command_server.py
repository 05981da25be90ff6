"""`python -m tests.support.command_server FD`: run commands, each in a fork of a process that has loaded them all.

A request on the socket FD is a line of JSON (words, environment) with four files: stdin, stdout, stderr, and a pipe to
which the exit code is written. What a command does to its process ends with it, as with a process of its own.
"""

import json
import os
import signal
import socket
import sys

from k8s_manager.cli.main import build, main


def serve(taken: socket.socket) -> None:
    """Serve until the other side is gone."""
    build([])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(taken, 2**20, 4)
        if not message:
            return
        if os.fork() == 0:
            taken.close()
            _keep(json.loads(message), files)
        for file in files:
            os.close(file)


def _keep(request: dict, files: list[int]) -> None:
    """Wait for a command, and tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        _run(request, files)
    _, status = os.waitpid(child, 0)
    os.write(files[3], str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run(request: dict, files: list[int]) -> None:
    code = 70
    try:
        for number in range(3):
            os.dup2(files[number], number)
        for file in files:
            os.close(file)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = ["tidegate", *request["words"]]
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
