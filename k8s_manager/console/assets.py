"""The files that pages load: scripts and styles, of this project and vendored ones, under names that change with them.

A name has a digest of the content, so that a browser may keep a file for ever, and another release brings another name.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: what it is, and its content as it is and packed."""

    media_type: str
    content: bytes
    packed: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return the files by the name under which they are served."""
    found = {}
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in TYPES:
            content = file.read_bytes()
            packed = gzip.compress(content, 9, mtime=0)
            found[_served(file, content)] = Asset(TYPES[file.suffix], content, packed)
    return found


@cache
def name_of(file: str) -> str:
    """Return the name under which a file is served."""
    path = FOLDER / file
    return _served(path, path.read_bytes())


def _served(file: Path, content: bytes) -> str:
    return f"{file.stem}.{hashlib.sha256(content).hexdigest()[:12]}{file.suffix}"
