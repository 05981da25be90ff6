"""The real kubectl: on the path, or as the end-to-end tests have built it."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("TIDEGATE_E2E_CACHE", Path.home() / ".cache/tidegate-e2e"))
_BUILT = sorted(CACHE.glob("kubernetes-*/kubectl"))
PROGRAM = str(_BUILT[-1]) if _BUILT else shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ, reason="no kubectl; run make cluster-up once, which builds it"
)


async def kubectl(kubeconfig: Path, *words: str, stdin: str = "") -> tuple[int, str]:
    """Run kubectl; return its exit code and what it printed."""
    assert PROGRAM, "no kubectl on the path and none in the cache of the end-to-end tests"
    environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent), "PATH": "/usr/bin:/bin"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    out, _ = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode()
