"""Which slot of a gateway carries a model's limit.

Rendezvous hashing: every model ranks the slots of its kind by a hash and takes the first, so nothing is stored, every
manager agrees, and a model that comes or goes moves no other.

A rewrite of a slot fills every bucket in it up. So models whose replicas an autoscaler changes have slots apart from
those whose replicas stay as they were declared, and only refill each other. The first slots are pinned: they are kept
for models that need slots of their own.
"""

import hashlib
from functools import lru_cache
from typing import Literal

from istio_templates.names import PINNED_SLOTS, QUIET_SLOTS, SLOTS

QUIET = range(PINNED_SLOTS, PINNED_SLOTS + QUIET_SLOTS)
RESTLESS = range(PINNED_SLOTS + QUIET_SLOTS, SLOTS)


SlotUse = Literal["pinned", "quiet", "restless"]


def use_of(slot: int) -> SlotUse:
    """Return for which models a slot is."""
    return "restless" if slot in RESTLESS else "quiet" if slot in QUIET else "pinned"


@lru_cache(maxsize=65_536)
def slot_of(namespace: str, model: str, restless: bool = False) -> int:
    """Return the number of the shared slot of a model; `restless`: not its document moves its replicas."""
    return max(RESTLESS if restless else QUIET, key=lambda slot: _weight(slot, f"{namespace}/{model}"))


def _weight(slot: int, key: str) -> bytes:
    return hashlib.blake2b(f"{slot}:{key}".encode(), digest_size=8).digest()
