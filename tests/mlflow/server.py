"""A real MLflow server with a store of its own, and what a training pipeline does with it."""

import asyncio
import os
import signal
from asyncio.subprocess import STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.bounds import hung
from tests.support.standalone import free_port
from tests.support.waiting import until

PROGRAM = Path(__file__).parents[2] / ".venv" / "mlflow" / "bin" / "mlflow"
"""Made by `make test-registry`."""
ROOT = "/api/2.0/mlflow"


class Mlflow:
    """A server that runs; one that is frozen answers nobody until it is thawed."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self._folder, self._session, self._port = folder, session, free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call the REST API as a pipeline does."""
        async with self._session.request(method, f"{self.url}{ROOT}/{path}", json=body) as answer:
            found: dict[str, Any] = await answer.json()
            assert answer.status == 200, found
            return found

    async def train(self, model: str, number: int, auc: float, **tags: str) -> None:
        """Run a training, and register what came of it as the next version."""
        run = (await self.call("POST", "runs/create", {"experiment_id": "0"}))["run"]["info"]["run_id"]
        at = 1_760_000_000_000 + number
        for key, value in (("holdout/auc", auc), ("holdout/samples", 5000.0), ("loss", 0.3)):
            metric = {"run_id": run, "key": key, "value": value, "timestamp": at}
            await self.call("POST", "runs/log-metric", metric)
        version = {"name": model, "source": f"s3://models/{model}/{number}", "run_id": run}
        listed = [{"key": key.replace("_", "."), "value": value} for key, value in tags.items()]
        made = await self.call("POST", "model-versions/create", {**version, "tags": listed})
        assert made["model_version"]["version"] == str(number)

    async def name(self, model: str, alias: str, version: int) -> None:
        """Move an alias."""
        await self.call("POST", "registered-models/alias", {"name": model, "alias": alias, "version": str(version)})

    async def answers(self) -> None:
        """Wait until it does."""
        await until(self._is_up, "MLflow answering")

    async def start(self) -> None:
        """Start the server."""
        words = ("server", "--backend-store-uri", f"sqlite:///{self._folder / 'store.db'}", "--host", "127.0.0.1")
        more = ("--artifacts-destination", str(self._folder / "artifacts"), "--workers", "1", "--port", str(self._port))
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(PROGRAM), *words, *more, stdout=log, stderr=STDOUT, env=environment, cwd=self._folder,
                start_new_session=True,
            )  # fmt: skip

    def freeze(self, is_frozen: bool = True) -> None:
        """Stop all its processes where they are, or let them go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)

    async def stop(self) -> None:
        """End the server and what it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(hung()):
                await process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _is_up(self) -> bool:
        assert self._process is not None and self._process.returncode is None, self.log()
        with suppress(aiohttp.ClientError):
            async with self._session.get(f"{self.url}/health") as answer:
                return answer.status == 200
        return False

    def log(self) -> str:
        """Return what the server has written."""
        return (self._folder / "mlflow.log").read_text()


@asynccontextmanager
async def mlflow(folder: Path) -> AsyncIterator[Mlflow]:
    """Start a server, and end it with the block; all that it writes is in a folder. Wait for it by `answers`."""
    folder.mkdir()
    async with aiohttp.ClientSession(trust_env=False) as session:
        found = Mlflow(folder, session)
        await found.start()
        try:
            yield found
        finally:
            await found.stop()
