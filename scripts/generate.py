"""Write the generated files, or with --check name those that are out of date and the bounds that are broken.

python -m scripts.generate [--check]
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from collectors.access_log.sql.flink_sql import kafka_script
from istio_templates.documents.crd import crds
from k8s_manager.doctor.rbac import collector_roles, roles
from scripts import structure
from scripts.dashboards.catalog import files
from scripts.protos import descriptor_set

ROOT = Path(__file__).parent.parent
BROKERS = "kafka-bootstrap.kafka:9092"
HEAD = "# Generated from the document types: make generate\n"


def generated() -> Iterator[tuple[Path, bytes]]:
    """Yield every generated file with its content."""
    for file, text in texts():
        yield file, text.encode()
    yield ROOT / "warmup" / "protos" / "protocols.binpb", descriptor_set()


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every generated text."""
    for crd in crds():
        name = f"{crd['spec']['names']['plural']}.yaml"
        yield ROOT / "manifests" / "crds" / name, HEAD + yaml.safe_dump(crd, sort_keys=False, width=120)
    for folder, made in (("", roles()), ("collector", collector_roles())):
        rights = "---\n".join(yaml.safe_dump(role, sort_keys=False, width=120) for role in made)
        head = "# Generated from k8s_manager/doctor/rbac.py: make generate\n"
        yield ROOT / "manifests" / folder / "rbac.yaml", head + rights
    for name, text in files().items():
        yield ROOT / "manifests" / "monitoring" / "dashboards" / name, text
    script = "-- Generated from collectors/access_log/sql/flink_sql.py: make generate\n" + kafka_script(BROKERS)
    yield ROOT / "manifests" / "flink" / "request-rows.sql", script
    yield ROOT / "docs" / "openapi.json", json.dumps(openapi(), indent=1, sort_keys=True) + "\n"


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of the REST API."""
    from k8s_manager.api.app import build
    from k8s_manager.api.guard import Guard
    from k8s_manager.api.streams.event_stream import StreamTerms
    from k8s_manager.runtime.token_bucket import Rate

    nobody: Any = None
    guard = Guard(nobody, nobody, nobody, Rate(1, 1), Rate(1, 1))
    return dict(build(nobody, guard, nobody, StreamTerms(0)).openapi())


def main(check: bool) -> int:
    """Write or check; return the exit code."""
    stale = [(file, content) for file, content in generated() if not file.exists() or file.read_bytes() != content]
    for file, content in stale:
        if check:
            print(f"{file.relative_to(ROOT)} is out of date; run: make generate", file=sys.stderr)  # noqa: T201
        else:
            file.write_bytes(content)
    broken = structure.problems()
    for problem in broken:
        print(problem, file=sys.stderr)  # noqa: T201
    if not check:
        structure.PAGE.write_text(structure.page())
    return int(bool(broken) or (check and bool(stale)))


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv[1:]))
