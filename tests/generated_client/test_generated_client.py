"""A client that openapi-python-client makes of the description has sound types and works.

The generator has an environment of its own, `.venv/generator`; `make test` makes it.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.features.conftest import make_search
from tests.support.fleet import TOKEN

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PROGRAMS = PROJECT / ".venv" / "generator" / "bin"
pytestmark = pytest.mark.skipif(
    not (PROGRAMS / "openapi-python-client").exists() and "CI" not in os.environ, reason="make .venv/generator first"
)


async def run(*words: str | Path, folder: Path) -> None:
    """Run a program; its output is the message where it fails."""
    env = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(folder), "MYPYPATH": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        env=env,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-4000:]


async def test_a_generated_client_has_sound_types_and_works(fleet, tmp_path):
    description = PROJECT / "docs" / "openapi.json"
    generate = (PROGRAMS / "openapi-python-client", "generate", "--path", description, "--meta", "none")
    package = tmp_path / "tidegate_api"
    await run(*generate, "--config", HERE / "config.yaml", "--output-path", package, folder=tmp_path)
    types = (sys.executable, "-m", "mypy", "--config-file", HERE / "mypy.ini")
    await run(*types, "--python-executable", PROGRAMS / "python", package, HERE / "calls.py", folder=tmp_path)
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        server = str(rest._session._base_url).rstrip("/")
        await run(PROGRAMS / "python", HERE / "calls.py", server, TOKEN, folder=tmp_path)
