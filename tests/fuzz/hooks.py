"""What calls of the REST API are tried with: often what is there, and bodies that could be right."""

import copy
import json
import os
import random
from pathlib import Path

import schemathesis

THERE = {"tenant": "search", "model": "ranker", "version": "v1", "revision": 1, "host": "free.example.com"}
NAMES = {"gateways": "shared", "tenants": "search", "models": "ranker", "overrides": "night", "grants": "sre"}
BODIES = json.loads(Path(os.environ["TIDEGATE_FUZZ_BODIES"]).read_text())
"""Bodies that are right, by path."""
dice = random.Random(20261122)


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Name what is there, three times out of four."""
    if path_parameters and dice.random() < 0.75:
        path = ctx.operation.path
        kind = next((found for part, found in NAMES.items() if f"/{part}/{{name}}" in path), None)
        there = {**THERE, "name": kind}
        return {name: there.get(name) or value for name, value in path_parameters.items()}
    return path_parameters


@schemathesis.hook
def map_headers(ctx, headers):
    """Write over whatever is there, mostly."""
    if dice.random() < 0.8:
        return {**(headers or {}), "If-Match": "*"}
    return headers


@schemathesis.hook
def map_body(ctx, body):
    """Send a document that is right, every second time, or one of whose parts one is wrong."""
    known = BODIES.get(ctx.operation.path)
    if ctx.operation.method.upper() == "PATCH":
        known = {"spec": {}}
    if known is None or dice.random() < 0.5:
        return body
    sent = copy.deepcopy(known)
    if dice.random() < 0.2 and isinstance(body, dict) and isinstance(body.get("spec"), dict) and "spec" in sent:
        sent["spec"] |= dict(list(body["spec"].items())[:1])
    return sent
