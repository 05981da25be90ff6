"""JSON Merge Patch (RFC 7396)."""

from typing import Any


def merged_patch(target: Any, patch: Any) -> Any:
    """Return `target` with a merge patch (RFC 7396) applied."""
    if not isinstance(patch, dict):
        return patch
    base = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            base.pop(name, None)
        else:
            base[name] = merged_patch(base.get(name), value)
    return base
