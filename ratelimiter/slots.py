"""Which slot of a gateway carries a model's limit.

Rendezvous hashing: every model ranks all slots by a hash and takes the first, so nothing is stored, every
manager agrees, and a model that comes or goes moves nobody else. The first slots are pinned: they are kept
for models that need a slot of their own.
"""

import hashlib
from functools import lru_cache

from istio_templates.names import PINNED_SLOTS, SLOTS


@lru_cache(maxsize=65_536)
def slot_of(namespace: str, model: str) -> int:
    """Return the number of the shared slot of a model."""
    return max(range(PINNED_SLOTS, SLOTS), key=lambda slot: _weight(slot, f"{namespace}/{model}"))


def _weight(slot: int, key: str) -> bytes:
    return hashlib.blake2b(f"{slot}:{key}".encode(), digest_size=8).digest()
