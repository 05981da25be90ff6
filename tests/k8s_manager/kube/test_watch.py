"""A watch goes on whatever happens to the API server, at growing and jittered pauses, and never runs hot."""

import asyncio
from itertools import pairwise

import pytest

from k8s_manager.kube.errors import Absent, Expired, Forbidden, Unavailable
from k8s_manager.kube.resources import OPTIONAL, RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.kube.watch import HEALTHY, Watcher
from k8s_manager.runtime.clock import SystemClock
from tests.support.simulated import SimulatedClock, simulate

BOOKMARK = ("BOOKMARK", {"metadata": {"resourceVersion": "2"}})


class Server:
    """An API server whose lists and watches end as they are told, the last of them again and again.

    A list is an error or None; a watch is how many seconds it lasts and the error at its end.
    """

    def __init__(self, lists, watches):
        self.lists, self.watches, self.calls = list(lists), list(watches), []

    def _next(self, answers, what):
        self.calls.append((what, asyncio.get_running_loop().time()))
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def list(self, resource, selector):
        if error := self._next(self.lists, "list"):
            raise error
        return [], "2"

    async def watch(self, resource, version, selector):
        seconds, error = self._next(self.watches, "watch")
        yield BOOKMARK
        await asyncio.sleep(seconds)
        if error:
            raise error

    def moments(self, what):
        """Return when calls of a kind were made."""
        return [at for name, at in self.calls if name == what]


def followed(seconds, lists, watches, kind="Pod"):
    """Return the server and the watcher after so many simulated seconds."""

    async def main():
        clock, server = SimulatedClock(), Server(lists, watches)
        watcher = Watcher(server, Store((kind,), clock), RESOURCES[kind], clock)
        task = asyncio.create_task(watcher.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return server, watcher

    return simulate(main())


def asked_to_wait(seconds):
    error = Unavailable("too many requests")
    error.after = seconds
    return error


def test_a_list_is_retried_after_pauses_that_double():
    server, watcher = followed(30, [Unavailable("away")], [(60, None)])
    moments = server.moments("list")
    pauses = [after - before for before, after in pairwise(moments)]
    expected = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert all(0.5 * pause <= waited <= 1.5 * pause for waited, pause in zip(pauses, expected, strict=False))
    assert len(pauses) >= 5 and watcher.problem == "away"


HOT = {
    "410 to every list": ([Expired("too old")], [(60, None)]),
    "410 to every watch": ([None], [(0, Expired("too old"))]),
    "watches that end at once": ([None], [(0, None)]),
    "watches that end after a second": ([None], [(1, None)]),
    "watches that are torn at once": ([None], [(0, Unavailable("torn"))]),
    "410 to a list and a watch in turn": ([Expired("x"), None] * 500, [(0, Expired("too old"))]),
    "a kind that comes and goes": ([Absent("no kind"), None] * 500, [(0, Absent("no kind"))]),
}


@pytest.mark.parametrize("fault", HOT)
def test_no_fault_is_answered_by_a_hot_loop(fault):
    server, _ = followed(60, *HOT[fault])
    assert 5 <= len(server.calls) <= 60
    assert len([at for _, at in server.calls if at > 40]) <= 16  # the longest pause is reached, and kept


def test_what_a_server_asks_for_is_kept():
    server, _ = followed(60, [asked_to_wait(20), None], [(60, None)])
    first, second = server.moments("list")
    assert 20 <= second - first <= 21


def test_what_a_server_asks_for_in_error_ends_after_a_minute():
    server, _ = followed(100, [asked_to_wait(1e9), None], [(200, None)])
    assert server.moments("list") == [0.0, 60.0]


def test_a_watch_that_was_healthy_goes_on_at_once():
    server, watcher = followed(4 * HEALTHY, [None], [(HEALTHY, None)])
    assert server.moments("watch") == [0.0, HEALTHY, 2 * HEALTHY, 3 * HEALTHY]
    assert len(server.moments("list")) == 1 and watcher.problem is None


def test_a_healthy_watch_that_has_expired_is_followed_by_a_list_at_once():
    server, watcher = followed(HEALTHY + 1, [None], [(HEALTHY, Expired("too old")), (60, None)])
    assert server.moments("list") == [0.0, HEALTHY] and watcher.problem is None


def test_pauses_begin_again_after_a_time_of_health_only():
    away = Unavailable("away")
    short = followed(60, [None], [(1, away)] * 6 + [(100, None)])[0].moments("watch")
    assert short[6] - short[5] > 1 + 2.5
    longer = HEALTHY + 1  # a sum of random pauses and HEALTHY can be a little less than it is
    healthy = followed(100, [None], [(1, away)] * 6 + [(longer, away), (1, away), (100, None)])[0].moments("watch")
    assert healthy[7] - healthy[6] == pytest.approx(longer) and healthy[8] - healthy[7] < 1.5


ROUTE = {"kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1"}}


@pytest.mark.parametrize("kind", OPTIONAL)
def test_a_kind_that_a_cluster_need_not_have_is_in_order_where_it_is_absent(kind):
    server, watcher = followed(60, [Absent("none")], [(60, None)], kind)
    store = watcher._store
    assert store.synced.is_set() and store.absent == {kind} and watcher.problem is None
    assert max(after - before for before, after in pairwise(server.moments("list"))) <= 1.5 * 5


def test_a_kind_that_may_not_be_read_keeps_nobody_waiting_and_says_so():
    _, watcher = followed(60, [Forbidden("no")], [(60, None)], "HTTPRoute")
    assert watcher._store.synced.is_set() and "kubectl apply -k manifests/" in watcher.problem


def test_a_kind_that_comes_and_goes_changes_what_is_known_of_it():
    store = Store(("HTTPRoute",), SystemClock())
    seen = [store.changes("HTTPRoute")]
    for step in (
        lambda: store.note_absent("HTTPRoute"),
        lambda: store.replace("HTTPRoute", []),
        lambda: store.replace("HTTPRoute", [ROUTE]),
        lambda: store.note_absent("HTTPRoute"),
    ):
        step()
        seen.append(store.changes("HTTPRoute"))
    assert seen == sorted(set(seen)) and list(store.all("HTTPRoute")) == []
