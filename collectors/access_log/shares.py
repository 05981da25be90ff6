"""Which of several collectors reads a gateway pod, so that each pod has one and few change hands.

Each pod goes to the collector for which a hash of both is highest (Thaler and Ravishankar, 1998): all collectors that
know each other agree without a word, and where one comes or goes only its pods move.
"""

import hashlib
from collections.abc import Collection


def reader_of(pod: str, collectors: Collection[str]) -> str | None:
    """Return who reads a pod; None where there is no collector."""
    return max(sorted(collectors), key=lambda name: _weight(pod, name), default=None)


def _weight(pod: str, collector: str) -> bytes:
    return hashlib.blake2b(f"{collector}\n{pod}".encode(), digest_size=8).digest()
