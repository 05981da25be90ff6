"""A watch goes on whatever happens to the API server: it lists again, at growing and jittered pauses."""

import asyncio

import pytest

from k8s_manager.kube.errors import Expired, Unavailable
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import Watcher


class Clock:
    """A clock that notes what is waited for."""

    def __init__(self):
        self.pauses = []

    def now(self):
        return 0.0

    async def wait(self, event, seconds):
        self.pauses.append(seconds)
        return False


class Server:
    """An API server whose lists and watches end as they are told."""

    def __init__(self, lists, watches):
        self.lists, self.watches = list(lists), list(watches)

    async def list(self, resource, selector):
        if not self.lists:
            raise asyncio.CancelledError
        if error := self.lists.pop(0):
            raise error
        return [], "2"

    async def watch(self, resource, version, selector):
        if error := self.watches.pop(0):
            raise error
        yield "BOOKMARK", {"metadata": {"resourceVersion": "2"}}


async def followed(lists, watches):
    """Return the watcher and the pauses that it made, once the server has nothing more to say."""
    clock = Clock()
    watcher = Watcher(Server(lists, watches), Store(("Pod",), clock), RESOURCES["Pod"], clock)
    with pytest.raises(asyncio.CancelledError):
        await watcher.run()
    return watcher, clock.pauses


async def test_a_list_is_retried_after_pauses_that_double():
    away = Unavailable("away")
    watcher, pauses = await followed([away] * 8, [])
    expected = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert len(pauses) == len(expected)
    assert all(0.5 * pause <= waited <= 1.5 * pause for waited, pause in zip(pauses, expected, strict=True))
    assert watcher.problem == "away"


async def test_a_success_begins_the_pauses_again():
    away = Unavailable("away")
    _, pauses = await followed([away, away, None, away, None], [away, away])
    assert len(pauses) == 5
    assert all(pause <= 0.3 for number, pause in enumerate(pauses) if number != 1)


async def test_a_watch_that_has_expired_is_followed_by_a_list_at_once():
    watcher, pauses = await followed([None, None], [None, Expired("too old"), Expired("too old")])
    assert pauses == [] and watcher.problem is None
