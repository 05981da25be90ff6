"""What calls of the REST API are tried with: every second time one that should be done, else whatever the schema says.

Nothing that the right calls need is in reach of the others but by chance: they read and change `search`, `ranker` and
their like, and make and delete `fuzz-0` to `fuzz-9`, of registered versions `ranker-fuzz-0` to `ranker-fuzz-9`.
"""

import json
import os
import random
from pathlib import Path

import requests
import schemathesis

BODIES = json.loads(Path(os.environ["TIDEGATE_FUZZ_BODIES"]).read_text())
"""Bodies that are right, by path; `NAME` in them stands for the name of the document."""
SERVER = os.environ["TIDEGATE_FUZZ_SERVER"]
THERE = {"tenant": "search", "model": "ranker", "version": "v1", "revision": 1}
NAMES = {"gateways": "shared", "tenants": "search", "models": "ranker", "overrides": "night", "grants": "sre"}
NAMES |= {"modelversions": "ranker-v9", "callers": "app1"}
OPTIONS = ("dryRun", "plan", "If-Match", "limit", "continue", "labelSelector", "against", "after")
dice = random.Random(20261122)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Turn every second call into one that should be done, and make what it deletes."""
    method, path = case.operation.method.upper(), case.operation.path
    if path == "/v1/events":  # a stream would not end
        case.query = {**(case.query or {}), "follow": "false"}
    if dice.random() < 0.5:
        spare(case, method)
        return
    kind = next((part for part in NAMES if f"/{part}/{{name}}" in path), "")
    deletes = method == "DELETE" and (path.endswith(("{name}", "/override")) or "{host}" in path)
    own = path.endswith("{name}") and method in ("PUT", "DELETE")
    mine = "ranker-fuzz-" if kind == "modelversions" else "fuzz-"
    name = f"{mine}{dice.randrange(10)}" if own else NAMES.get(kind, "")
    parameters = {**THERE, "name": name, "host": f"free{dice.randrange(10)}.example.com"}
    case.path_parameters = {key: parameters[key] for key in case.path_parameters or {}}
    case.query = {key: value for key, value in (case.query or {}).items() if key not in OPTIONS}
    case.query |= {"force": "true"} if path.endswith("/traffic") else {}
    case.headers = {**{k: v for k, v in (case.headers or {}).items() if k not in OPTIONS}, "If-Match": "*"}
    if method == "PATCH":
        case.body = {"spec": {}}
    elif path.endswith("/rollback"):
        case.body = {"revision": 1}
    elif method in ("PUT", "POST") and path in BODIES:
        case.body = named(BODIES[path], name)
    made = {"If-Match": "*", "Authorization": os.environ["TIDEGATE_FUZZ_OWN_TOKEN"]}
    if path.endswith("/pin"):  # what is blocked cannot be pinned
        requests.delete(SERVER + case.formatted_path.removesuffix("pin") + "block", headers=made, timeout=10)
    if deletes:
        requests.put(SERVER + case.formatted_path, json=named(BODIES[path], name), headers=made, timeout=10)


def spare(case, method):
    """Delete nothing that the right calls need: Schemathesis learns its name from answers."""
    parameters = case.path_parameters or {}
    if method == "DELETE" and parameters.get("name") in NAMES.values():
        case.path_parameters = {**parameters, "name": f"fuzz-{dice.randrange(10)}"}


def named(body, name):
    return json.loads(json.dumps(body).replace("NAME", name))
