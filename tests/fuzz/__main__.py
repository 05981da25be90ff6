"""Call every operation of the REST API with what its schema allows and does not: python -m tests.fuzz SCHEMATHESIS CASES

Runs a manager on the embedded Kubernetes API, with identity and audit on. SCHEMATHESIS is the program `st` of an
environment with tests/fuzz/requirements.txt; `make fuzz` makes one.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.rig import cluster
from tests.support.documents import gateway, model, tenant

PROJECT = Path(__file__).parents[2]
# A schema cannot say what the fleet has: a body that it allows may well be refused.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance," \
    "response_schema_conformance,unsupported_method,ignored_auth"  # fmt: skip

OVERRIDE = {"target": {"tenant": "search"}, "total": 5, "author": "fuzz", "reason": "fuzz"}
MODEL = "/v1/tenants/{tenant}/models/{model}"
BODIES = {
    "/v1/gateways/{name}": {"spec": gateway()["spec"]},
    "/v1/tenants/{name}": {"spec": tenant()["spec"]},
    "/v1/tenants/{tenant}/models/{name}": {"spec": model()["spec"]},
    "/v1/overrides/{name}": {"spec": {**OVERRIDE, "expires": "2999-01-01T00:00:00Z"}},
    "/v1/grants/{name}": {"spec": {"role": "viewer", "users": ["ada"]}},
    "/v1/claims/{host}": {"tenant": "search"},
    f"{MODEL}/traffic": {"traffic": [{"version": "v1", "weight": 100}]},
    f"{MODEL}/versions/{{version}}/scale": {"replicas": 2},
    f"{MODEL}/limit/override": {"total": 5, "reason": "fuzz", "for": "1m"},
}


async def main(program: str, cases: str) -> int:
    """Return the exit code of the run."""
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder)) as found:
            await found.create([gateway(), tenant()])
            async with found.manager("--calls-per-second", "100000", "--audit", f"{folder}/audit.log"):
                await found.still(2)
                await found.create([model()])
                await found.still(2)
                words = ["run", str(PROJECT / "docs/openapi.json"), "--url", found.api, "--checks", CHECKS]
                words += ["--header", "Authorization: Bearer bench", "--exclude-path", "/v1/events"]
                words += ["--phases", "examples,fuzzing", "--max-examples", cases, "--continue-on-failure"]
                bodies = Path(folder) / "bodies.json"
                bodies.write_text(json.dumps(BODIES))
                own = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "TIDEGATE_FUZZ_BODIES": str(bodies)}
                environment = {**os.environ, **own, "PYTHONPATH": str(PROJECT)}
                process = await asyncio.create_subprocess_exec(program, *words, env=environment)
                code = await process.wait()
            log = (Path(folder) / "manager.log").read_text()
            trail = map(json.loads, (Path(folder) / "audit.log").read_text().strip().split("\n"))
            told = Counter((line["method"], line["status"] // 100) for line in trail)
    for (method, class_), count in sorted(told.items()):
        sys.stdout.write(f"{method} {class_}xx: {count}\n")
    if "Traceback" in log:
        sys.stdout.write(log)
    return code or int("Traceback" in log)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
