"""Reads the public keys of the tokens that the manager issues, as the store keeps them of their Secret. Pure."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from istio_templates.documents.callers.public_keys import key_set
from istio_templates.documents.override import moment
from istio_templates.facts import Manifest
from k8s_manager.world.installation import PUBLIC_KEYS
from k8s_manager.world.world import PublicKey


def public_keys(secret: Manifest | None) -> dict[str, tuple[PublicKey, ...]]:
    """Return the public keys by tenant. What cannot be read is left out: tokens by such a key are not taken."""
    try:
        text = base64.b64decode(((secret or {}).get("data") or {}).get(PUBLIC_KEYS) or "e30=")
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {tenant: tuple(_keys(listed)) for tenant, listed in found.items() if isinstance(listed, list)}


def _keys(listed: list[Any]) -> Iterator[PublicKey]:
    for one in listed:
        try:
            if one["until"]:
                moment(one["until"])
            clean = json.loads(key_set({"keys": [one["key"]]}))["keys"][0]
            yield PublicKey(clean["kid"], json.dumps(clean, sort_keys=True, separators=(",", ":")), one["until"])
        except (ValueError, KeyError, TypeError):
            continue
