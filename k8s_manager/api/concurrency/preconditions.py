"""Preconditions on the version of a document that a caller has read: its ETag, and If-Match."""

import hashlib

import orjson

from istio_templates.errors import Outdated
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.problems import Unconditional

WHATEVER = "*"
"""As If-Match: over whatever is there, or is not."""


def etag(document: Manifest) -> str | None:
    """Return the ETag of a document: what people wrote, so that the manager's own statuses leave it as it is."""
    metadata = document.get("metadata") or {}
    if "uid" not in metadata:
        return None
    written = [metadata.get(name) for name in ("uid", "generation", "labels", "annotations")]
    return '"' + hashlib.sha256(orjson.dumps(written, option=orjson.OPT_SORT_KEYS)).hexdigest()[:20] + '"'


def require(live: Manifest | None, match: str | None, key: ObjectKey) -> None:
    """Make sure that a caller who replaces a whole document has read it.

    Raises `Unconditional` where If-Match is missing, `Outdated` where it names another version.
    """
    if match == WHATEVER or (live is None and match is None):
        return
    current = etag(live) if live else None
    if match is None:
        said = f"{key} is there already; read it and send its ETag as If-Match, or If-Match: * to overwrite it unseen"
        raise Unconditional(said)
    if current is None or current not in [tag.strip().removeprefix("W/") for tag in match.split(",")]:
        there = f"is at version {current}" if current else "is not there"
        raise Outdated(f"{key} {there}, not at {match[:200]}; read it again and repeat the change")
