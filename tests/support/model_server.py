"""A model server with a programmable cold start: it says that it is ready, and is slow at its first calls."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.grpc_server import grpc_server


@dataclass
class Cold:
    """How a server behaves: so many slow calls for each shape, of so many seconds; when it says that it is ready; and
    what it answers instead of an inference, if not one. Every call is `work`, in seconds; `most` of them were under way
    at once."""

    slow_calls: int = 0
    slow: float = 0.3
    ready_after: int = 0
    status: int = 200
    body: bytes | None = None
    hang: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    headers: list[str] = field(default_factory=list)
    work: float = 0.0
    under_way: int = 0
    most: int = 0

    async def answer(self, shape: str, good: bytes) -> tuple[int, bytes]:
        """Return what a call of a shape is answered with."""
        self.seen[shape] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.work)
        self.under_way -= 1
        if self.hang:
            await asyncio.sleep(60)
        if self.seen[shape] <= self.slow_calls:
            await asyncio.sleep(self.slow)
        return self.status, good if self.body is None else self.body

    def ready(self) -> bool:
        """Tell whether it says that it is ready."""
        self.seen["ready"] += 1
        return self.seen["ready"] > self.ready_after


@asynccontextmanager
async def model_server(cold: Cold, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Run a server that speaks all HTTP protocols; yield its port."""

    async def infer(request: web.Request) -> web.Response:
        cold.headers.append(request.headers.get("x-tidegate-warmup", ""))
        raw = await request.read()
        asked = json.loads(raw) if raw else {}
        inputs = asked.get("inputs")
        shape = json.dumps([i["shape"] for i in inputs]) if isinstance(inputs, list) else "any"
        good = {
            "outputs": [{"name": "score", "datatype": "FP32", "shape": [1], "data": [0.5]}],
            "choices": [{"message": {"content": "yes"}}],
            "score": 0.5,
        }
        if isinstance(inputs, dict):
            good["outputs"] = {"score": [[0.5]]}
        status, body = await cold.answer(shape, json.dumps(good).encode())
        return web.Response(status=status, body=body, content_type="application/json")

    async def ready(request: web.Request) -> web.Response:
        if not cold.ready():
            return web.Response(status=503)
        return web.json_response(
            {
                "model_version_status": [{"state": "AVAILABLE"}],
                "data": [{"id": "ranker"}],
                **OIP_METADATA,
                **TFS_METADATA,
            }
        )

    app = web.Application()
    for path in ("/v2/models/ranker/infer", "/v1/models/ranker:predict", "/v1/chat/completions", "/predict"):
        app.router.add_post(path, infer)
    for path in ("/v2/models/ranker/ready", "/v2/models/ranker", "/v1/models/ranker", "/v1/models", "/health",
                 "/v1/models/ranker/metadata"):  # fmt: skip
        app.router.add_get(path, ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


OIP_METADATA = {"name": "ranker", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
TFS_METADATA = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                "serving_default": {
                    "inputs": {
                        "x": {
                            "dtype": "DT_FLOAT",
                            "tensor_shape": {"dim": [{"size": "-1"}, {"size": "4"}]},
                            "name": "x:0",
                        }
                    }
                }
            }
        }
    }
}

__all__ = ["Cold", "grpc_server", "model_server"]
