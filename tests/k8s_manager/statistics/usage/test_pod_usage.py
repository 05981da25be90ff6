"""Figures of pods: what Kubernetes and Prometheus write is read exactly, and what is no figure is unknown."""

from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.statistics.usage.metric_series import InstantSample, bytes_of, cores_of, gpus_of, samples_in
from k8s_manager.statistics.usage.metrics_list import OddMetrics, uses_in
from k8s_manager.statistics.usage.pod_usage import (
    MOST_BYTES,
    MOST_CORES,
    NOTHING,
    GpuUse,
    PodUse,
    ResourceBounds,
    amount,
    bounds_of,
    cores,
    known_sum,
    sum_of,
)
from k8s_manager.statistics.usage.usage_answer import VersionPod, model_item, pod_item

SUFFIXES = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1), "k": 1000,
            "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "M": 10**6, "G": 10**9}  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("items", "metadata", "name", "containers", "usage", "cpu", "memory", "status", "data", "result", "resultType",
         "metric", "value", "spec", "resources", "requests", "limits", "initContainers", "overhead", "nvidia.com/gpu",
         "timestamp", "restartPolicy")  # fmt: skip
odd = st.recursive(
    anything | st.sampled_from(["success", "vector", "p", "1", "250m", "NaN", "1e99", "Always"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(st.integers(0, 10**9), st.sampled_from(sorted(SUFFIXES)))
def test_a_quantity_is_read_to_the_microcore_and_the_byte(number: int, suffix: str) -> None:
    exact, text = number * SUFFIXES[suffix], f"{number}{suffix}"
    found, size = cores(text), amount(text)
    assert (found is None) == (exact > MOST_CORES) and (size is None) == (exact > MOST_BYTES)
    assert found is None or abs(Fraction(found) - exact) <= Fraction(1, 10**6)
    assert size is None or size == int(exact)


@given(anything)
def test_a_figure_is_one_that_a_pod_could_have_or_unknown(value: Any) -> None:
    found, size = cores(value), amount(value)
    assert found is None or 0 <= found <= MOST_CORES
    assert size is None or (isinstance(size, int) and 0 <= size <= MOST_BYTES)
    orjson.dumps([found, size])


@pytest.mark.parametrize(
    "value", ["NaN", "-1", "1e99", "9" * 30, "1Ei2", "", None, True, [], float("nan"), float("inf"), -0.5]
)
def test_what_is_no_figure_is_unknown(value: object) -> None:
    assert cores(value) is None and amount(value) is None


@given(st.lists(st.none() | st.integers(0, 100)))
def test_a_sum_is_of_all_or_of_what_is_known(figures: list[int | None]) -> None:
    known = [figure for figure in figures if figure is not None]
    assert known_sum(figures) == (sum(known) if known else None)
    assert sum_of(figures) == (sum(known) if known and None not in figures else None)


@given(odd)
def test_no_answer_of_a_server_is_a_stack_trace(content: Any) -> None:
    for read in (uses_in, lambda found: cores_of(samples_in(found)), lambda found: gpus_of("n", samples_in(found))):
        try:
            read(content)
        except OddMetrics as error:
            assert len(str(error)) < 300
    pod = {"metadata": {"name": "p"}, **(content if isinstance(content, dict) else {})}
    assert isinstance(bounds_of(pod), ResourceBounds)


def test_pods_are_read_from_metrics_and_a_figure_that_cannot_be_is_unknown() -> None:
    def pod(name: object, *usages: object) -> dict[str, Any]:
        return {"metadata": {"name": name}, "timestamp": "now", "containers": [{"usage": usage} for usage in usages]}

    items = [
        pod("one", {"cpu": "250m", "memory": "1Gi"}, {"cpu": "125000000n", "memory": "512Mi"}),
        pod("bad", {"cpu": "NaN", "memory": "1Gi"}, {"cpu": "1", "memory": "-3"}),
        pod("none"),
        pod(7, {"cpu": "1"}),
        "x",
    ]
    assert uses_in({"items": items}) == {
        "one": PodUse(0.375, 1536 * 2**20, moment="now"),
        "bad": PodUse(moment="now"),
        "none": PodUse(moment="now"),
    }


def test_what_a_pod_requests_counts_sidecars_and_overhead_and_not_what_has_ended() -> None:
    def asks(cpu: str, memory: str, limit: str = "", **more: object) -> dict[str, Any]:
        limits = {"limits": {"memory": limit, "nvidia.com/gpu": "1"}} if limit else {}
        return {"resources": {"requests": {"cpu": cpu, "memory": memory}, **limits}, **more}

    spec = {
        "containers": [asks("500m", "1Gi", "2Gi"), asks("1", "1Gi", "1Gi")],
        "initContainers": [asks("8", "8Gi"), asks("100m", "64Mi", "64Mi", restartPolicy="Always")],
        "overhead": {"cpu": "250m", "memory": "64Mi"},
    }
    found = bounds_of({"spec": spec})
    assert found == ResourceBounds(1.85, None, 2176 * 2**20, 3200 * 2**20, 3)
    whole = {"containers": [{}, {}], "resources": {"limits": {"cpu": "2"}}}
    assert bounds_of({"spec": whole}) == ResourceBounds(cpu_requested=2.0, cpu_limit=2.0)
    assert bounds_of({}) == ResourceBounds()


def test_gpus_are_those_of_the_pod_whichever_labels_name_it() -> None:
    own = {"namespace": "gpu-operator", "pod": "dcgm-1", "exported_namespace": "search", "exported_pod": "a"}
    plain = {"namespace": "search", "pod": "b"}
    foreign = {"namespace": "search", "pod": "dcgm-2", "exported_namespace": "ads", "exported_pod": "c"}

    def series(labels: dict[str, str], card: str, share: str, used: str, free: str) -> list[InstantSample]:
        values = {"DCGM_FI_DEV_GPU_UTIL": share, "DCGM_FI_DEV_FB_USED": used, "DCGM_FI_DEV_FB_FREE": free}
        return [InstantSample({**labels, "UUID": card, "__name__": name}, value) for name, value in values.items()]

    samples = [
        *series(own, "1", "40", "1024", "3072"),
        *series(own, "1", "40", "1024", "3072"),
        *series(own, "2", "80", "2048", "2048"),
        *series(plain, "3", "NaN", "512", "1e30"),
        *series(foreign, "4", "99", "1", "1"),
    ]
    assert gpus_of("search", samples) == {
        "a": GpuUse(0.6, 3072 * 2**20, 8192 * 2**20),
        "b": GpuUse(None, 512 * 2**20, None),
    }


def test_series_without_a_pod_and_values_that_are_none_are_left_out() -> None:
    samples = [InstantSample({"pod": "a"}, "0.5"), InstantSample({}, "1"), InstantSample({"pod": "b"}, "+Inf")]
    assert cores_of(samples) == {"a": 0.5, "b": None}
    assert bytes_of([InstantSample({"pod": "a"}, "1073741824"), InstantSample({"pod": "b"}, "1e300")]) == {
        "a": 2**30,
        "b": None,
    }


def test_a_model_is_the_sum_of_its_pods_as_far_as_they_are_known() -> None:
    def pod(name: str, cpu: str, limit: str | None) -> VersionPod:
        resources = {"requests": {"cpu": cpu}, "limits": {"memory": limit} if limit else {}}
        return VersionPod("v1", {"metadata": {"name": name}, "spec": {"containers": [{"resources": resources}]}})

    uses = {"a": PodUse(0.25, 100, GpuUse(0.5, 10, 40)), "b": PodUse(0.5, 50)}
    item = model_item("ranker", [pod("a", "1", "200"), pod("b", "2", "300"), pod("c", "1", "1")], uses)
    assert item["pods"] == 3 and item["measured"] == 2
    assert item["cpu"] == {"used": 0.75, "requested": 4.0, "limit": None}
    assert item["memory"] == {"used": 150, "requested": 501, "limit": 501}
    assert item["gpu"] == {"requested": 0, "utilization": 0.5, "memoryUsed": 10, "memoryTotal": 40}
    unlimited = model_item("ranker", [pod("a", "1", "200"), pod("b", "2", None)], uses)
    assert unlimited["memory"]["limit"] is None
    assert pod_item(pod("z", "1", "1"), {"z": NOTHING})["cpu"]["used"] is None
