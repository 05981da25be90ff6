"""Series of Prometheus as usage: cAdvisor's of containers, the DCGM exporter's of GPUs. Pure.

The exporter names the pod that has a GPU `pod` and `namespace`. Where Prometheus keeps those labels for the exporter's
own pod (without `honorLabels`), the GPU's are `exported_pod` and `exported_namespace`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from k8s_manager.statistics.usage.metrics_list import OddMetrics
from k8s_manager.statistics.usage.pod_usage import GpuUse, amount, cores, known_sum, sum_of

MOST_SERIES = 50_000
WINDOW = "3m"
"""How old the last two scrapes may be, between which CPU is the mean, as metrics-server has it: of the slowest usual
pace, once a minute, one may fail. `rate` over the window would show a young pod as idle."""
_MOST_SECONDS = 2**40
_UTILIZATION, _USED, _FREE = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"
_CARD = ("Hostname", "UUID", "gpu", "GPU_I_ID")
"""Labels that tell GPUs, and parts of them, apart."""


@dataclass(frozen=True, slots=True)
class InstantSample:
    """A series and its value now, as text; `at` is what its moment is, in epoch seconds (None: none can be read)."""

    labels: dict[str, str]
    value: str
    at: float | None = None


def cpu_query(namespace: str) -> str:
    """Return the question for the cores that each pod of a namespace uses."""
    return _by_pod(f"irate(container_cpu_usage_seconds_total{_selector(namespace)}[{WINDOW}])")


def memory_query(namespace: str) -> str:
    """Return the question for the bytes that each pod of a namespace uses and that cannot be taken from it."""
    return _by_pod(f"container_memory_working_set_bytes{_selector(namespace)}")


def gpu_query(namespace: str) -> str:
    """Return the question for the GPUs of a namespace's pods."""
    names = f'__name__=~"{_UTILIZATION}|{_USED}|{_FREE}"'
    quoted = json.dumps(namespace)
    return f"{{{names},exported_namespace={quoted}}} or {{{names},namespace={quoted}}}"


def _selector(namespace: str) -> str:
    return f'{{namespace={json.dumps(namespace)},container!="",container!="POD"}}'


def _by_pod(series: str) -> str:
    # The largest of a container: it is scraped twice by some, and a restarted one has two series for a while.
    return f"sum by (pod) (max by (pod, container) ({series}))"


def samples_in(content: Any) -> list[InstantSample]:
    """Return the samples of an answer to an instant query; raises `OddMetrics` for one that has none."""
    if not isinstance(content, dict) or content.get("status") != "success":
        said = content.get("error") if isinstance(content, dict) else None
        raise OddMetrics(str(said)[:200] if said else "its answer is none to a query")
    data = content.get("data")
    result = data.get("result") if isinstance(data, dict) and data.get("resultType") == "vector" else None
    if not isinstance(result, list):
        raise OddMetrics("its answer is no vector")
    if len(result) > MOST_SERIES:
        raise OddMetrics(f"its answer has more than {MOST_SERIES} series")
    return list(_samples(result))


def _samples(result: list[Any]) -> Iterator[InstantSample]:
    for series in result:
        labels, value = (series.get("metric"), series.get("value")) if isinstance(series, dict) else (None, None)
        if isinstance(labels, dict) and isinstance(value, list) and len(value) == 2:
            yield InstantSample({str(name): str(label) for name, label in labels.items()}, str(value[1]), _at(value[0]))


def _at(moment: Any) -> float | None:
    is_number = isinstance(moment, int | float) and not isinstance(moment, bool)
    return float(moment) if is_number and abs(moment) < _MOST_SECONDS else None


def cores_of(samples: Iterable[InstantSample]) -> dict[str, float | None]:
    """Return the cores of each pod."""
    return {sample.labels["pod"]: cores(_number(sample.value)) for sample in samples if "pod" in sample.labels}


def bytes_of(samples: Iterable[InstantSample]) -> dict[str, int | None]:
    """Return the bytes of each pod."""
    return {sample.labels["pod"]: amount(_number(sample.value)) for sample in samples if "pod" in sample.labels}


def gpus_of(namespace: str, samples: Iterable[InstantSample]) -> dict[str, GpuUse]:
    """Return what the pods of a namespace use of their GPUs."""
    cards: dict[str, dict[tuple[str, ...], dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
    for sample in samples:
        labels = sample.labels
        place = labels.get("exported_namespace", labels.get("namespace"))
        pod = labels.get("exported_pod") if "exported_namespace" in labels else labels.get("pod")
        if pod and place == namespace:
            card = tuple(labels.get(name, "") for name in _CARD)
            cards[pod][card][labels.get("__name__", "")] = _number(sample.value)
    return {pod: _gpu(list(found.values())) for pod, found in cards.items()}


def _gpu(cards: list[dict[str, float | None]]) -> GpuUse:
    shares = [share for card in cards if (share := _share(card.get(_UTILIZATION))) is not None]
    used = [_mebibytes(card.get(_USED)) for card in cards]
    total = [sum_of([_mebibytes(card.get(_USED)), _mebibytes(card.get(_FREE))]) for card in cards]
    mean = round(sum(shares) / len(shares), 4) if shares else None
    return GpuUse(mean, known_sum(used), sum_of(total))


def _share(percent: float | None) -> float | None:
    return percent / 100 if percent is not None and 0 <= percent <= 100 else None


def _mebibytes(value: float | None) -> int | None:
    return amount(value * 2**20) if value is not None else None


def _number(text: str) -> float | None:
    try:
        return float(text[:40])
    except ValueError:
        return None
