"""`python -m scripts.console_assets`: fetch the console's vendored files again (npm), and compare their digests.

Which packages, versions and files they are stands beside them, in vendored.json. With another version there, its digest
is printed, to be written beside it.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "k8s_manager" / "console" / "assets"
LIST = FOLDER / "vendored.json"


def integrity(content: bytes) -> str:
    """Return a digest as browsers and npm write it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def main() -> int:
    """Return 1 where a digest is another one."""
    wanted: dict[str, dict[str, Any]] = json.loads(LIST.read_text())
    wrong = 0
    for name, said in wanted.items():
        content = _fetched(said["package"], said["version"], f"package/{said['path']}")
        (FOLDER / name).write_bytes(content)
        if (found := integrity(content)) != said["integrity"]:
            sys.stderr.write(f"{name}: {found} is not {said['integrity']}\n")
            wrong = 1
    return wrong


def _fetched(package: str, version: str, path: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(path)
            if member is None:
                raise FileNotFoundError(f"{package}@{version} has no {path}")
            return member.read()


if __name__ == "__main__":
    sys.exit(main())
