"""The jars of servers that are tested with, fetched by Maven the first time and whenever their list changes."""

import subprocess
from pathlib import Path

from tests.support.pages import ROOT

SCRIPT = ROOT / "scripts" / "pipeline_jars"


def jars(pom: Path, name: str) -> Path:
    """Return the folder of the jars that a pom lists."""
    folder = ROOT / ".cache" / name / "lib"
    marker = folder / "pom.xml"
    if not marker.exists() or marker.read_text() != pom.read_text():
        subprocess.run([str(SCRIPT), str(pom.relative_to(ROOT)), str(folder.relative_to(ROOT))], cwd=ROOT, check=True)
    return folder
