"""Running a command to its end, with an error that shows what it said."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.errors import Failed

LAST_LINES = 15


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 1800,
    check: bool = True,
) -> str:
    """Return what a command prints; raises `Failed` with its last lines where it fails."""
    words = [str(word) for word in command]
    try:
        ended = subprocess.run(
            words, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(words[:6])} did not end within {timeout:.0f} s") from error
    if check and ended.returncode:
        said = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-LAST_LINES:])
        raise Failed(f"{' '.join(words[:6])} ended with {ended.returncode}:\n{said}")
    return ended.stdout
