"""Virtual environments for model servers with heavy pins, each of its own, made once and kept under `.servers/`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent / ".servers"
# Triton's Python stub wants the Debian interpreter that it was built beside; another 3.11 breaks it.
SYSTEM_PYTHON = Path("/usr/bin/python3")


def environment(name: str) -> Path:
    """Return the folder of an environment with what `NAME.txt` asks for."""
    wanted = HERE / f"{name}.txt"
    key = hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    folder = ROOT / f"{name}-{key}"
    if not (folder / "done").exists():
        python = SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else Path(sys.executable)
        print(f"making the environment of {name} (once; some hundred megabytes)", file=sys.stderr, flush=True)  # noqa: T201
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", wanted], check=True)
        (folder / "done").touch()
    return folder


def variables(folder: Path) -> dict[str, str]:
    """Return the environment variables of a server that runs in an environment."""
    return {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(folder)}
