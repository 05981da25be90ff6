"""`python -m scripts.supply_chain TOOLS sbom|audit`: what the image and the wheel are made of, and what is known of it.

`sbom` writes a CycloneDX bill of materials for each into `.sbom/`, and fails where a locked package or its hash is
missing in it. `audit` asks pip-audit for known vulnerabilities of every locked package, and fails where there are any.
With `--where-reachable` it passes where the data cannot be reached, and says so. TOOLS is the folder of the programs.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / ".sbom"
LOCKS = {
    "image": PROJECT / "requirements-image.lock",
    "image-extras": PROJECT / "requirements-image-extras.lock",
    "wheel": PROJECT / "requirements.lock",
}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def main(words: list[str]) -> int:
    """Return the exit code: 0 if everything is as it should be."""
    match words:
        case [tools, "sbom"]:
            return _failed("sbom", list(_written(Path(tools))))
        case [tools, "audit", *options]:
            return _audit(Path(tools), "--where-reachable" in options)
    print(__doc__, file=sys.stderr)
    return 2


def pins(lock: str) -> dict[str, str]:
    """Return the version of every package that a lock file pins, by its name in lower case with dashes."""
    return {_normal(name): version for name, version in _PIN.findall(lock)}


def missing(wanted: dict[str, str], bill: dict[str, Any]) -> Iterator[str]:
    """Yield each package that a bill of materials lacks, has in another version, or without a hash."""
    there = {_normal(part["name"]): part for part in bill.get("components", [])}
    for name, version in wanted.items():
        part = there.get(name, {})
        hashes = [entry for link in part.get("externalReferences", []) for entry in link.get("hashes", [])]
        if part.get("version") != version or not hashes:
            yield f"{name} {version} is missing, or has no hash"


def unsafe(report: dict[str, Any]) -> Iterator[str]:
    """Yield each known vulnerability of pip-audit's report, with the versions that mend it."""
    for part in report["dependencies"]:
        for found in part.get("vulns", []):
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            yield f"{part['name']} {part['version']}: {found['id']}; mended in {mended}"


def unknown(report: dict[str, Any]) -> list[str]:
    """Return the packages of pip-audit's report that it knows nothing of."""
    return [part["name"] for part in report["dependencies"] if "skip_reason" in part]


def _written(tools: Path) -> Iterator[str]:
    FOLDER.mkdir(exist_ok=True)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for name, lock in LOCKS.items():
        to = FOLDER / f"tidegate-{project['version']}-{name}.cdx.json"
        kind = ("--pyproject", PROJECT / "pyproject.toml", "--mc-type", "library" if name == "wheel" else "application")
        command = [
            str(w) for w in (tools / "cyclonedx-py", "requirements", lock, *kind, "--output-reproducible", "-o", to)
        ]
        # A lock file names no dependencies between its packages, and the tool warns of that each time.
        subprocess.run(command, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
        wanted = pins(lock.read_text())
        print(f"{to.relative_to(PROJECT)}: {len(wanted)} packages")
        yield from (f"{to.name}: {what}" for what in missing(wanted, json.loads(to.read_text())))


def _audit(tools: Path, where_reachable: bool) -> int:
    command = [str(tools / "pip-audit"), "-r", str(LOCKS["image"]), "--require-hashes", "--disable-pip", "-f", "json"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(asked.stdout) if asked.stdout.startswith("{") else {"dependencies": []}
    if found := list(unsafe(report)):
        return _failed("audit", found)
    skipped, count = unknown(report), len(report["dependencies"])
    if skipped or not count:
        said = f"{len(skipped)} of {count} packages are unknown to it" if count else asked.stderr.strip()[-200:]
        print(f"audit: the data of known vulnerabilities cannot be reached, so that nothing is shown: {said}")
        return 0 if where_reachable else 1
    print(f"audit: no known vulnerability in {count} packages")
    return 0


def _failed(what: str, found: list[str]) -> int:
    for line in found:
        print(f"{what}: {line}", file=sys.stderr)
    return 1 if found else 0


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
