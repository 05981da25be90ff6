"""What of a version in MLflow becomes a ModelVersion, and what does not, with the reason. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from istio_templates.documents import parse
from istio_templates.documents.fields import brief
from istio_templates.documents.parse import API_VERSION
from istio_templates.documents.versions.model_version import MOST_EVALUATIONS, document_name
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest
from k8s_manager.release.registry.registry_answer import LeftOut, RegisteredVersion, RunMetric

TAGS: Mapping[str, str] = {
    "tidegate.image": "image",
    "tidegate.digest": "digest",
    "tidegate.dataUntil": "dataUntil",
}
"""What the tags of a version say, beside its source."""
SCHEMES = (
    "s3", "gs", "abfs", "abfss", "wasb", "wasbs", "adl", "hdfs", "viewfs", "dbfs", "oci", "hf", "https", "models",
    "runs", "mlflow-artifacts",
)  # fmt: skip
"""Where a source may be: what pods reach from anywhere. A path of MLflow's own machine is none."""
_FIRST, _LAST = 946_684_800_000, 7_258_118_400_000
"""The years 2000 to 2200, in milliseconds: a moment outside is none."""


@lru_cache(maxsize=20_000)
def content_of(version: RegisteredVersion, namespace: str, model: str) -> tuple[Mapping[str, Any], tuple[LeftOut, ...]]:
    """Return the fields of a version's document that MLflow says, empty where it is left out, and what is left out.

    Answers are remembered: the same versions are looked at again and again.
    """
    scheme = version.source.partition(":")[0]
    if scheme not in SCHEMES or ":" not in version.source:
        said = f"has the source {brief(version.source)}, which pods do not reach; register it with one such as s3://"
        return {}, (LeftOut(version.name, said),)
    base: Manifest = {"uri": version.source}
    if flaw := flaw_of(base, namespace, model, version.name):
        return {}, (LeftOut(version.name, f"has a source that is no URI ({flaw})"),)
    left_out, tags = [], dict(version.tags)
    created = moment_of(version.created)
    if created is not None:
        base["dataUntil"] = created
    for tag, field in TAGS.items():
        value = tags.get(tag)
        if value is None:
            continue
        if flaw := flaw_of({"uri": version.source, field: value}, namespace, model, version.name):
            left_out.append(LeftOut(version.name, f"has the tag {tag} {brief(value)}, which does not count ({flaw})"))
        else:
            base[field] = value
    return base, tuple(left_out)


def evaluations_of(metrics: Sequence[RunMetric]) -> tuple[list[Manifest], list[str]]:
    """Return the evaluations among the metrics of a run, and what is left out of them.

    A metric is an evaluation where it says its data set: by itself, or as DATASET/METRIC. DATASET/samples says from how
    many samples the others on it are; without it, from one.
    """
    placed = {place: one for one in metrics if (place := _place(one)) is not None}
    found: dict[tuple[str, str], Manifest] = {}
    flaws: list[str] = []
    for (dataset, name), one in sorted(placed.items()):
        if name == "samples":
            continue
        made = _evaluation(dataset, name, one, placed.get((dataset, "samples")))
        if flaw := flaw_of({"uri": "s3://x", "evaluations": [made]}, "default", "m", "v1"):
            flaws.append(f"has a metric {brief(one.key)} that does not count ({flaw})")
        else:
            found[dataset, name] = made
    if len(found) > MOST_EVALUATIONS:
        flaws.append(f"has {len(found)} evaluations; the first {MOST_EVALUATIONS} count")
    return list(found.values())[:MOST_EVALUATIONS], flaws


def moment_of(milliseconds: Any) -> str | None:
    """Return a moment as documents write it; None where it is none."""
    if not isinstance(milliseconds, int) or not _FIRST <= milliseconds < _LAST:
        return None
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def document_of(namespace: str, model: str, version: str, spec: Manifest) -> Manifest:
    """Return the document of a version."""
    metadata = {"name": document_name(model, version), "namespace": namespace}
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {"model": model, **spec},
    }


def flaw_of(spec: Manifest, namespace: str, model: str, version: str) -> str | None:
    """Return what is wrong with a document of these fields; None where it is right."""
    try:
        parse(document_of(namespace, model, version, spec))
    except Invalid as error:
        return str(error.problems[0])[:200]
    return None


def listed_reasons(left_out: Iterable[LeftOut], most: int) -> str:
    """Return the first reasons, and how many more there are."""
    found = list(left_out)
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return "; ".join([*(f"{one.version} {one.why}" for one in found[:most]), *more])


def _place(one: RunMetric) -> tuple[str, str] | None:
    """Return the data set and the name of a metric; None where it is of no data set."""
    dataset, _, name = one.key.rpartition("/")
    if dataset:
        return dataset, name
    return (one.dataset, one.key) if one.dataset else None


def _evaluation(dataset: str, name: str, one: RunMetric, samples: RunMetric | None) -> Manifest:
    count = samples.value if samples else 1
    is_whole = isinstance(count, float) and count.is_integer()
    return {
        "dataset": dataset,
        "metric": name,
        "value": one.value,
        "samples": int(count) if is_whole else count,
        "at": moment_of(one.at) or "",
    }
