"""A cluster that runs is told from what a machine that went down has left of one."""

import os
import signal
from pathlib import Path

import pytest

from e2e.cluster.errors import Failed
from e2e.cluster.node import Node
from e2e.cluster.place import Place
from e2e.cluster.processes import Processes, ended


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("tidegate-test", state=tmp_path / "state", logs=tmp_path / "logs", cache=tmp_path / "cache")


def _of_a_starter_that_has_ended(place: Place) -> Processes:
    place.state.mkdir()
    (place.state / "starter.json").write_text('{"name": "this process", "pid": 1, "since": "never"}')
    return Processes(place.state / "processes.json", place.logs)


def test_nothing_runs_where_nothing_is(place: Place) -> None:
    assert not Node(place, {}).runs()


def test_a_cluster_that_is_being_started_runs(place: Place) -> None:
    Node(place, {}).claim()
    assert Node(place, {}).runs()
    with pytest.raises(Failed, match="another cluster runs"):
        Node(place, {}).claim()


def test_a_cluster_runs_as_long_as_none_of_its_processes_has_ended_by_itself(place: Place) -> None:
    processes = _of_a_starter_that_has_ended(place)
    etcd, apiserver = (processes.start(name, ["sleep", "60"]) for name in ("etcd", "apiserver"))
    try:
        assert Node(place, {}).runs()
        processes.stop("apiserver", signal.SIGKILL)
        assert Node(place, {}).runs(), "it was stopped on purpose"
        os.kill(etcd.pid, signal.SIGKILL)
        assert ended(etcd, 10)
        assert not Node(place, {}).runs()
        assert not apiserver.runs()
    finally:
        for started in processes.all():
            processes.stop(started.name, signal.SIGKILL)


def test_sockets_and_the_ids_of_processes_that_ended_are_no_cluster(place: Place) -> None:
    processes = _of_a_starter_that_has_ended(place)
    started = processes.start("containerd", ["true"])
    (place.state / "containerd.sock").touch()
    assert ended(started, 10)
    assert processes.all() == [started]
    assert not Node(place, {}).runs()
