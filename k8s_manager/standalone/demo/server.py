"""The demo's model behind the Open Inference Protocol (REST): python -m k8s_manager.standalone.demo.server

Each request carries rows of four features; the answer is the probability of a click for each row.
"""

import argparse
import json
import os
from typing import Any

from aiohttp import web

from istio_templates.host_port import parted
from k8s_manager.standalone.demo.train import FEATURES, FILE, probability

NAME = "ranker"


def _features(body: Any) -> list[tuple[float, ...]]:
    """Return the rows of a request; raises `ValueError` with a sentence."""
    try:
        (tensor,) = body["inputs"]
        data = [float(value) for value in tensor["data"]]
        rows, columns = tensor["shape"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"send one input tensor with shape [rows, {len(FEATURES)}] and its data ({error})") from error
    if columns != len(FEATURES) or len(data) != rows * columns:
        raise ValueError(
            f"shape is {tensor['shape']} with {len(data)} values; send [rows, {len(FEATURES)}]: {', '.join(FEATURES)}"
        )
    return [tuple(data[start : start + columns]) for start in range(0, len(data), columns)]


def application() -> web.Application:
    """Return the server."""
    model = json.loads(FILE.read_text())
    replica = os.environ.get("HOSTNAME", "local")

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def metadata(_: web.Request) -> web.Response:
        inputs = [{"name": "features", "datatype": "FP32", "shape": [-1, len(FEATURES)]}]
        outputs = [{"name": "click", "datatype": "FP32", "shape": [-1]}]
        return web.json_response(
            {"name": NAME, "versions": ["v1"], "platform": "python", "inputs": inputs, "outputs": outputs}
        )

    async def infer(request: web.Request) -> web.Response:
        try:
            rows = _features(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        clicks = [round(probability(model["weights"], model["bias"], row), 6) for row in rows]
        output = {"name": "click", "datatype": "FP32", "shape": [len(clicks)], "data": clicks}
        return web.json_response(
            {"model_name": NAME, "model_version": "v1", "outputs": [output]}, headers={"x-replica": replica}
        )

    app = web.Application()
    app.router.add_get("/v2/health/{kind:live|ready}", ready)
    app.router.add_get(f"/v2/models/{NAME}", metadata)
    app.router.add_get(f"/v2/models/{NAME}/ready", ready)
    app.router.add_post(f"/v2/models/{NAME}/infer", infer)
    return app


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT")
    host, port = parted(parser.parse_args().listen)
    web.run_app(application(), host=host, port=int(port), print=None)


if __name__ == "__main__":
    main()
