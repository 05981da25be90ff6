"""What all gateway pods last ran of a slot, kept in an annotation of the slot's EnvoyFilter.

Without it, a manager that begins while the pods do not take a slot would not know what to go back to.
"""

import json
import zlib
from base64 import b64decode, b64encode

from istio_templates.facts import Bucket, LimitKey, Manifest
from istio_templates.names import APPLIED
from ratelimiter.controller import Limits

MOST_BYTES = 1_000_000


def with_applied(obj: Manifest, applied: Limits | None) -> Manifest:
    """Return a slot's EnvoyFilter with what its gateway pods ran last; without, where that is not known."""
    if applied is None:
        return obj
    annotations = {**obj["metadata"].get("annotations", {}), APPLIED: _packed(applied)}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def applied_of(obj: Manifest) -> Limits | None:
    """Return what the gateway pods of a slot ran last; None where it does not say that in the manager's format."""
    text = (obj["metadata"].get("annotations") or {}).get(APPLIED)
    if text is None:
        return None
    try:
        raw = zlib.decompressobj().decompress(b64decode(text), MOST_BYTES)
        return tuple((LimitKey(str(route), str(part)), Bucket(*map(int, b))) for route, part, *b in json.loads(raw))
    except (ValueError, TypeError, zlib.error):
        return None


def _packed(limits: Limits) -> str:
    """Deflated, since a thousand models make long slots, and their names are much alike."""
    rows = [[key.route, key.part, b.tokens, b.interval, b.burst, b.enforced] for key, b in limits]
    return b64encode(zlib.compress(json.dumps(rows, separators=(",", ":")).encode())).decode()
