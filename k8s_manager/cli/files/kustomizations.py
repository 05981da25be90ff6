"""Folders that kustomize builds: read as they are where it only lists files, and otherwise left to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from istio_templates.documents import load
from istio_templates.errors import Invalid

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names by which kustomize finds its file."""
_LISTS = {"apiVersion", "kind", "metadata", "resources", "sortOptions"}


def objection(file: Path, top: Path) -> str | None:
    """Return why the documents below a kustomization are not what it builds; None where it lists what is read anyway,
    below the folder `top`."""
    try:
        found = load(file.read_text(encoding="utf-8-sig"), str(file))
    except Invalid as error:
        return error.problems[0].message
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"
    wrong = next((said for raw in found for said in _beyond(raw, file.parent, top)), None)
    return f"{wrong}; run: kubectl kustomize {file.parent} | tidegate COMMAND -f -" if wrong else None


def _beyond(raw: dict[str, Any], folder: Path, top: Path) -> Iterator[str]:
    if changes := sorted(str(name) for name in raw.keys() - _LISTS if raw[name]):
        yield f"changes what it lists ({', '.join(changes)})"
    listed = raw.get("resources")
    for resource in listed if isinstance(listed, list) else ():
        place = (folder / str(resource)).resolve()
        if not place.is_relative_to(top.resolve()) or not place.exists():
            yield f"lists {resource}, which is not below {top}"
