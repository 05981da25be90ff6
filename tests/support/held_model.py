"""`python held_model.py HOST:PORT FILE`: a model server that is ready at once, and serves no inference until FILE is
there, as one that still loads its weights."""

import sys
from pathlib import Path

from aiohttp import web


def main() -> None:
    host, port = sys.argv[1].rsplit(":", 1)
    loaded = Path(sys.argv[2])

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def infer(_: web.Request) -> web.Response:
        if not loaded.exists():
            return web.json_response({"error": "the weights are still loaded"}, status=503)
        output = {"name": "click", "datatype": "FP32", "shape": [1], "data": [0.5]}
        return web.json_response({"model_name": "reranker", "outputs": [output]})

    app = web.Application()
    app.router.add_get("/v2/health/ready", ready)
    app.router.add_get("/v2/models/reranker{tail:.*}", ready)
    app.router.add_post("/v2/models/reranker/infer", infer)
    web.run_app(app, host=host, port=int(port), print=None)


main()
