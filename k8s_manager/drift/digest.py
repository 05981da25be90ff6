"""The digest of a desired object, kept in an annotation of the live one. Pure.

It tells a field that the manager no longer sets from one that another writer added.
"""

import hashlib

import orjson

from istio_templates.facts import Manifest
from istio_templates.names import DIGEST


def stamped(obj: Manifest) -> Manifest:
    """Return a desired object with its digest."""
    digest = hashlib.sha256(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    annotations = {**obj["metadata"].get("annotations", {}), DIGEST: digest}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def has_same_digest(one: Manifest, other: Manifest) -> bool:
    """Tell whether two states of an object were made from the same desired one: no manager has decided otherwise."""
    return digest_of(one) == digest_of(other)


def digest_of(obj: Manifest) -> str | None:
    """Return the digest that an object carries; None where something has taken it away."""
    found = (obj["metadata"].get("annotations") or {}).get(DIGEST)
    return None if found is None else str(found)
