"""Call every operation of the REST API with what its schema allows and does not:

    python -m tests.fuzz SCHEMATHESIS CASES admin         with all rights: nothing breaks, and much is done
    python -m tests.fuzz SCHEMATHESIS CASES stranger      known, without any right: nothing is served

Runs a manager on the embedded Kubernetes API, with identity and audit on, and tells of every operation how often it was
called and what came of that. SCHEMATHESIS is the program `st` of an environment with tests/fuzz/requirements.txt;
`make fuzz` makes one.
"""

import asyncio
import json
import os
import re
import sys
import tempfile
import urllib.parse
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.support.rig import cluster
from k8s_manager.api.authn.static_tokens import hashed
from tests.support.answers import strict_description
from tests.support.documents import API, gateway, model, tenant

PROJECT = Path(__file__).parents[2]
DESCRIPTION = PROJECT / "docs" / "openapi.json"
# A schema cannot say what the fleet has: a body that it allows may well be refused.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance," \
    "response_schema_conformance,unsupported_method,ignored_auth"  # fmt: skip
LEAST_DONE = 0.2
SERVED_TO_STRANGERS = ("/healthz", "/readyz", "/metrics", "/v1/whoami")

OVERRIDE = {"target": {"tenant": "search"}, "total": 5, "author": "fuzz", "reason": "fuzz"}
GRANT = {"spec": {"role": "viewer", "users": ["ada"]}}
MODEL = "/v1/tenants/{tenant}/models/{model}"
NIGHT = {"spec": {**OVERRIDE, "expires": "2999-01-01T00:00:00Z"}}
RANGE = {"range": {"lowest": 1, "highest": 50}}
OWN = {"spec": {**{k: v for k, v in NIGHT["spec"].items() if k not in ("action", "target")}, "total": 5}}
OWN["spec"]["target"] = {"model": "ranker"}
PINNED = {"by": "anna", "at": "2026-11-21T00:00:00Z"}
VERSION = {"spec": {"model": "ranker", "image": "example.com/ranker:v9", "pinned": PINNED}}
EVALUATION = {"dataset": "holdout", "metric": "auc", "value": 0.9, "samples": 100, "at": "2026-11-21T03:00:00Z"}
REGISTRY = "/v1/tenants/{tenant}/modelversions"
CALLER = "/v1/tenants/{tenant}/callers/{name}"
BODIES = {
    "/v1/gateways/{name}": {"spec": gateway("NAME", "NAME-gw")["spec"]},
    "/v1/tenants/{name}": {"spec": tenant("NAME")["spec"]},
    "/v1/tenants/{tenant}/models/{name}": {
        "spec": model(routes=[{"host": "search.models.example.com", "path": "/NAME", "port": 8080}])["spec"]
    },
    "/v1/overrides/{name}": NIGHT,
    "/v1/tenants/{tenant}/overrides/{name}": OWN,
    f"{MODEL}/pause": {"paused": None},
    "/v1/grants/{name}": GRANT,
    REGISTRY: {"version": "v8", "uri": "s3://models/ranker/8", "model": "ranker"},
    f"{REGISTRY}/{{name}}": VERSION,
    f"{REGISTRY}/{{name}}/evaluations": EVALUATION,
    f"{REGISTRY}/{{name}}/block": {"reason": "fuzz"},
    f"{REGISTRY}/{{name}}/pin": {},
    f"{REGISTRY}/{{name}}/pin/approval": {},
    CALLER: {"spec": {"models": ["ranker"]}},
    f"{CALLER}/tokens": {"ttl": "1h"},
    f"{CALLER}/revocations": {"id": "t1", "expires": "2999-01-01T00:00:00Z"},
    "/v1/tenants/{tenant}/keys/rotate": {"now": True},
    "/v1/claims/{host}": {"tenant": "lender"},
    f"{MODEL}/traffic": {"traffic": [{"version": "v1", "weight": 100}]},
    f"{MODEL}/versions/{{version}}/scale": {"replicas": 2},
    f"{MODEL}/versions/{{version}}/autoscale": {"min": 1, "max": 3},
    f"{MODEL}/limit/override": {"total": 5, "reason": "fuzz", "ttl": "1m"},
    f"{MODEL}/release": {"action": "pause"},
    f"{MODEL}/selection": {"strategy": "dataDriven"},
    f"{MODEL}/measurement": {"holder": "a" * 16, "seconds": 60},
    **{path: {"documents": [gateway(), tenant(), model()]} for path in ("/v1/plan", "/v1/render")},
    "/v1/simulate": {
        "settings": {"rateLimit": {"perReplicaQps": 20}, "replicas": 2, "gateways": 2},
        "trace": [{"time": 0, "requests": 600}, {"time": 5, "requests": 600}],
    },
}
Told = dict[str, Counter[int]]  # statuses by operation


async def main(program: str, cases: str, who: str, *more: str) -> int:
    """Return the exit code of the run; `more` are options of Schemathesis."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = {"tokens": [{"user": "stranger", "groups": [], "sha256": hashed("stranger")}]}
        (folder / "tokens.yaml").write_text(json.dumps(tokens))
        (folder / "bodies.json").write_text(json.dumps(BODIES))
        async with cluster(folder) as found:
            await found.create([gateway(), tenant(rateLimit=RANGE), tenant("lender")])
            options = (
                "--calls-per-second",
                "100000",
                "--audit",
                f"{name}/audit.log",
                "--tokens-file",
                f"{name}/tokens.yaml",
            )
            async with found.manager(*options):
                await found.still(2)
                await found.create([model(), *rest()])
                await found.still(2)
                code = await _run(program, cases, "bench" if who == "admin" else "stranger", found.api, folder, more)
            log, told = (folder / "manager.log").read_text(), statuses(folder / "calls.har")
    wrong = judged(told, who)
    show(told, wrong)
    sys.stdout.write(log if "Traceback" in log else "")
    return code or int("Traceback" in log) or int(bool(wrong))


def rest() -> list[dict]:
    """Return the documents that calls read: overrides and a grant."""
    return [
        {
            "apiVersion": API,
            "kind": "LimitOverride",
            "metadata": {"name": "night", "namespace": "tidegate-system"},
            **NIGHT,
        },
        {"apiVersion": API, "kind": "AccessGrant", "metadata": {"name": "sre"}, **GRANT},
        {"apiVersion": API, "kind": "LimitOverride", "metadata": {"name": "night", "namespace": "search"}, **OWN},
        {
            "apiVersion": API,
            "kind": "ModelVersion",
            "metadata": {"name": "ranker-v9", "namespace": "search"},
            **VERSION,
        },
        {"apiVersion": API, "kind": "Caller", "metadata": {"name": "app1", "namespace": "search"}, **BODIES[CALLER]},
    ]


async def _run(program: str, cases: str, token: str, server: str, folder: Path, more: tuple[str, ...]) -> int:
    description = folder / "openapi.json"
    description.write_text(json.dumps(strict_description()))
    words = ["run", str(description), "--url", server, "--checks", CHECKS, "--header", f"Authorization: Bearer {token}"]
    words += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", cases, "--continue-on-failure"]
    words += ["--seed", "20261122", "--report", "har", "--report-har-path", str(folder / "calls.har"), *more]
    own = {
        "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
        "TIDEGATE_FUZZ_BODIES": str(folder / "bodies.json"),
        "TIDEGATE_FUZZ_SERVER": server,
        "TIDEGATE_FUZZ_OWN_TOKEN": "Bearer bench",
        "PYTHONPATH": str(PROJECT),
    }
    process = await asyncio.create_subprocess_exec(
        str(Path(program).resolve()), *words, env={**os.environ, **own}, cwd=folder
    )
    return await process.wait()


def statuses(har: Path) -> Told:
    """Return what came of the calls in a HAR file; those of paths or methods that are not described are left out."""
    described = {
        (method.upper(), re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) + "$")): f"{method.upper()} {path}"
        for path, methods in json.loads(DESCRIPTION.read_text())["paths"].items()
        for method in methods
    }
    told: Told = defaultdict(Counter)
    for entry in json.loads(har.read_text())["log"]["entries"]:
        path = urllib.parse.urlsplit(entry["request"]["url"]).path
        fitting = [name for (method, form), name in described.items()
                   if method == entry["request"]["method"] and form.match(path)]  # fmt: skip
        if fitting:
            told[min(fitting, key=lambda name: name.count("{"))][entry["response"]["status"]] += 1
    return told


def judged(told: Told, who: str) -> list[str]:
    """Return what is not as it should be."""
    wrong = [f"{name}: {found} answers of 5xx" for name in told if (found := _share(told[name], 5)[1])]
    for name, counts in told.items():
        share, done = _share(counts, 2)
        if who == "admin" and share < LEAST_DONE:
            wrong.append(f"{name}: {share:.0%} of the calls were done, fewer than {LEAST_DONE:.0%}")
        if who == "stranger" and done and name.split()[1] not in SERVED_TO_STRANGERS:
            wrong.append(f"{name}: {done} calls were served without a right")
    return wrong


def show(told: Told, wrong: list[str]) -> None:
    """Print a line for each operation, and what is wrong."""
    for name, counts in sorted(told.items()):
        classes = ", ".join(f"{status}: {counts[status]}" for status in sorted(counts))
        sys.stdout.write(f"{counts.total():6} {_share(counts, 2)[0]:4.0%} done  {name}  ({classes})\n")
    total = sum((counts for counts in told.values()), Counter())
    sys.stdout.write(f"{total.total()} calls, {_share(total, 2)[0]:.0%} done, {_share(total, 5)[1]} of 5xx\n")
    sys.stdout.write("".join(f"WRONG {line}\n" for line in wrong))


def _share(counts: Counter[int], class_: int) -> tuple[float, int]:
    found = sum(count for status, count in counts.items() if status // 100 == class_)
    return found / max(1, counts.total()), found


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
