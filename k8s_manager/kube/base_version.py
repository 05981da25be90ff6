"""Writes that hold only while an object is the one from which they were decided.

Server-side apply takes an older decision as gladly as a newer one. So what a leader applies over an object, merges into
it or deletes names the resourceVersion that it had read. Where that has changed meanwhile by nothing that matters, such
as a status that Kubernetes keeps, the write is repeated over the newer version; else it raises `WriteConflict`.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from istio_templates.errors import Problem
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict

ATTEMPTS = 4
T = TypeVar("T")


async def read_live(client: KubeClient, key: ObjectKey) -> Manifest | None:
    """Read an object as it is now, with its managed fields; None where it is gone."""
    try:
        return await client.get(key)
    except Absent:
        return None


def pinned(obj: Manifest, base: Manifest) -> Manifest:
    """Return what is written over `base`, with the uid and resourceVersion that it must still have."""
    version = {name: base["metadata"][name] for name in ("uid", "resourceVersion") if name in base["metadata"]}
    return {**obj, "metadata": {**obj.get("metadata", {}), **version}}


def require_same(base: Manifest | None, live: Manifest, is_same: Callable[[Manifest, Manifest], bool]) -> Manifest:
    """Return the live state of an object, if the decision that was made from `base` holds for it."""
    if base is not None and not is_same(base, live):
        raise WriteConflict(str(key_of(live)), [Problem("", "another manager has decided otherwise meanwhile")])
    return live


async def write_over(
    client: KubeClient,
    base: Manifest,
    write: Callable[[Manifest], Awaitable[T]],
    is_same: Callable[[Manifest, Manifest], bool],
) -> T:
    """Return what `write` gives for the newest object that is the same as `base`; raises `WriteConflict`.

    `is_same` returns for two states of the object whether the decision holds for both.
    """
    decided = base
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await write(base)
        except WriteConflict:
            if attempt == ATTEMPTS:
                raise
            live = await read_live(client, key_of(base))
            if live is None or live["metadata"]["uid"] != decided["metadata"]["uid"] or not is_same(decided, live):
                raise
            base = live
    raise AssertionError("the last attempt returns or raises")
