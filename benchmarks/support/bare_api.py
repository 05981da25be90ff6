"""The least that can be done: a FastAPI that keeps documents in memory and checks the types of what is written.

python -m benchmarks.support.bare_api PORT
"""

import sys
from typing import Any

import orjson
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer

from istio_templates.documents.model import ModelSpec

app = FastAPI(dependencies=[Depends(HTTPBearer())])
documents: dict[str, Any] = {}


@app.get("/v1/tenants/{tenant}/models/{name}")
async def get(tenant: str, name: str) -> Response:
    """Return a document."""
    return Response(orjson.dumps(documents[f"{tenant}/{name}"]), media_type="application/json")


@app.put("/v1/tenants/{tenant}/models/{name}")
async def put(tenant: str, name: str, request: Request) -> Response:
    """Keep a document whose types are right."""
    body = orjson.loads(await request.body())
    ModelSpec.model_validate(body["spec"])
    documents[f"{tenant}/{name}"] = body
    return Response(orjson.dumps(body), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
