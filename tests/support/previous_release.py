"""The code of the release before this one, from the history of the repository, for the upgrade tests."""

import io
import subprocess
import tarfile
from pathlib import Path

COMMIT = "f428e3db872f9a655922f23f30c47bcb0ce853ef"
"""What installations run that are upgraded to this work tree; moved on at each release."""
PACKAGES = ("istio_templates", "ratelimiter", "warmup", "collectors", "k8s_manager")
_PROJECT = Path(__file__).parents[2]


def text(path: str) -> str:
    """Return a file of the previous release."""
    return _git("show", f"{COMMIT}:{path}").decode()


def unpack(folder: Path) -> Path:
    """Write the packages of the previous release into a folder, unless they are there; return it."""
    if all((folder / package).is_dir() for package in PACKAGES):
        return folder
    archived = _git("archive", "--format=tar", COMMIT, *PACKAGES)
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*words: str) -> bytes:
    found = subprocess.run(["git", "-C", str(_PROJECT), *words], capture_output=True, check=False)
    if found.returncode:
        reason = found.stderr.decode(errors="replace").strip()
        raise RuntimeError(
            f"the previous release {COMMIT[:7]} is not in this clone ({reason}); fetch the whole history"
        )
    return found.stdout
