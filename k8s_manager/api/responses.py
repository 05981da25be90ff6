"""Answers in JSON."""

from typing import Any

import orjson
from fastapi import Response

from istio_templates.facts import Manifest
from k8s_manager.api.concurrency.preconditions import etag


def in_json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a body as it is sent."""
    return Response(orjson.dumps(body), status, media_type="application/json", headers=headers)


def respond(body: Manifest, status: int = 200) -> Response:
    """Return a body as it is sent; a document with the version of what it shows."""
    tag = etag(body)
    return in_json(body, status, {"ETag": tag} if tag else None)
