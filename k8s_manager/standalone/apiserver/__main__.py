"""The embedded API as a process: python -m k8s_manager.standalone.apiserver HOST PORT FILE [TLS_PORT CERTIFICATE KEY]

The token that callers must present is in the environment, as TIDEGATE_KUBE_TOKEN.
"""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import uvloop

from k8s_manager.standalone.apiserver.http import serve

GARBAGE = (1_000, 10, 1_000_000)
"""Never look through the old objects: what is stored and remembered is millions of them, a second's work, and none
refers to itself."""


async def run(host: str, port: int, file: Path | None, token: str | None, tls: tuple[int, Path, Path] | None) -> None:
    """Serve until SIGTERM."""
    gc.set_threshold(*GARBAGE)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner, bound = await serve(host, port, file, token, tls)
    print(bound, flush=True)  # noqa: T201
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    state = None if sys.argv[3] == "-" else Path(sys.argv[3])
    secure = (int(sys.argv[4]), Path(sys.argv[5]), Path(sys.argv[6])) if sys.argv[4:] else None
    uvloop.run(run(sys.argv[1], int(sys.argv[2]), state, os.environ.get("TIDEGATE_KUBE_TOKEN") or None, secure))
