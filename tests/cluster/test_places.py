"""Clusters side by side share nothing but the cache, and as many run as the caller says or the memory carries."""

from pathlib import Path

import pytest

from e2e.__main__ import carried, clusters
from e2e.cluster.components import kubelet_config
from e2e.cluster.errors import Missing
from e2e.cluster.pki import Pki
from e2e.cluster.place import Place


def test_places_side_by_side_have_nothing_but_the_cache_in_common() -> None:
    places = [Place.numbered(number) for number in range(3)]
    assert places[0] == Place()
    for what in ("name", "state", "logs", "kubeconfig", "audit_log", "containerd_socket"):
        assert len({getattr(place, what) for place in places}) == 3, what
    assert {place.cache for place in places} == {places[0].cache}


def test_each_kubelet_looks_after_its_own_control_groups_only() -> None:
    roots = {
        line for number in range(3) for line in kubelet_config(Pki(Path("/pki")), Place.numbered(number)).splitlines()
        if line.startswith("cgroupRoot:")
    }  # fmt: skip
    assert roots == {"cgroupRoot: /tidegate-e2e", "cgroupRoot: /tidegate-e2e-1", "cgroupRoot: /tidegate-e2e-2"}


@pytest.mark.parametrize(("gib", "number"), [(1, 1), (2, 1), (4, 2), (5.9, 2), (6, 3), (64, 3)])
def test_as_many_run_as_the_memory_carries(gib: float, number: int) -> None:
    assert carried(int(gib * 2**20)) == number


def test_or_as_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("E2E_CLUSTERS", raising=False)
    assert clusters() >= 1
    monkeypatch.setenv("E2E_CLUSTERS", "5")
    assert clusters() == 5


@pytest.mark.parametrize("said", ["0", "-1", "two", ""])
def test_a_number_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2E_CLUSTERS", said)
    with pytest.raises(Missing, match="E2E_CLUSTERS"):
        clusters()
