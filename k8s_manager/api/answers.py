"""Answers in JSON, with the version of what they show."""

import orjson
from fastapi import Response

from istio_templates.facts import Manifest
from k8s_manager.api.versions import etag


def respond(body: Manifest, status: int = 200) -> Response:
    """Return a body as it is sent; a document carries its ETag."""
    tag = etag(body)
    headers = {"ETag": tag} if tag else None
    return Response(orjson.dumps(body), status, media_type="application/json", headers=headers)
