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


def patch_between(before: Any, after: dict[str, Any]) -> dict[str, Any]:
    """Return a merge patch that makes `after` of `before`: what `after` leaves out, at any depth, is taken away."""
    known = before if isinstance(before, dict) else {}
    patch = {
        name: patch_between(known.get(name), value) if isinstance(value, dict) else value
        for name, value in after.items()
    }
    return {**patch, **dict.fromkeys(known.keys() - after.keys())}
