"""Warm-up plans among documents: where a model's plan is, what belongs to it, and what is wrong with it. Pure."""

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from istio_templates.documents import ModelSpec, WarmupPlanSpec
from istio_templates.documents.warmup import PLAN_BYTES
from istio_templates.errors import Problem
from istio_templates.workloads.warm_gate import GATE
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import problems_of
from warmup.plans.tensors import Files

FilesInCluster = Mapping[tuple[str, str], Mapping[str, bytes]]
Plans = Mapping[tuple[str, str], WarmupPlanSpec]
Key = tuple[str, str]  # namespace and name


@dataclass(frozen=True, slots=True)
class WarmupProblem:
    """Something that is wrong with a warm-up; `absent`: what it refers to is not there."""

    problem: Problem
    absent: bool = False


def bundle_of(key: Key, spec: ModelSpec, plans: Plans, files: FilesInCluster) -> Bundle | None:
    """Return the plan of a model with all that belongs to it, as far as that is there; None without one."""
    warmup = spec.warmup
    plan = warmup.plan or (plans.get((key[0], warmup.plan_ref.name)) if warmup.plan_ref else None)
    if plan is None or warmup.how == "none":
        return None
    return Bundle(key[1], plan, files_of(key[0], plan, files))


def files_of(namespace: str, plan: WarmupPlanSpec, files: FilesInCluster) -> Files:
    """Return the files of a plan that are there."""
    found = {ref: files.get((namespace, ref.config_map), {}).get(ref.key) for ref in plan.files()}
    return {ref: content for ref, content in found.items() if content is not None}


def wrong_in_plan(namespace: str, plan: WarmupPlanSpec, files: FilesInCluster) -> Iterator[WarmupProblem]:
    """Yield what is wrong with a plan that stands alone; the name of its model is not known."""
    yield from _wrong("spec", Bundle("model", plan, files_of(namespace, plan, files)))


def wrong_in_model(
    key: Key, spec: ModelSpec, plans: Plans, files: FilesInCluster, ungated: frozenset[tuple[str, str, str]]
) -> Iterator[WarmupProblem]:
    """Yield what is wrong with a model's warm-up."""
    warmup = spec.warmup
    if warmup.how == "none":
        return
    if warmup.plan_ref and (key[0], warmup.plan_ref.name) not in plans:
        said = f"there is no WarmupPlan {warmup.plan_ref.name} in namespace {key[0]} that holds; make it first"
        yield WarmupProblem(Problem("spec.warmup.planRef.name", said), absent=True)
    bundle = bundle_of(key, spec, plans, files)
    if bundle:
        yield from _wrong("spec.warmup.plan", bundle)
    for number, version in enumerate(spec.versions):
        if warmup.how == "gate" and version.existing and (*key, version.name) in ungated:
            yield WarmupProblem(Problem(f"spec.versions[{number}].existing", _gate_missing(version.name)))


def _gate_missing(version: str) -> str:
    return (
        f"pods of version {version} have no readiness gate, and one cannot be added to pods that exist; add to their "
        f"template's spec: readinessGates: [{{conditionType: {GATE}}}]"
    )


def _wrong(root: str, bundle: Bundle) -> Iterator[WarmupProblem]:
    missing = sorted(f"{ref.config_map}/{ref.key}" for ref in bundle.spec.files() - bundle.files.keys())
    for name in missing:
        said = f"there is no file {name}; make the ConfigMap with that key and the label tidegate.dev/warmup: file"
        yield WarmupProblem(Problem(root, said), absent=True)
    if not missing:
        for problem in _checks.of(bundle):
            yield WarmupProblem(Problem(f"{root}.{problem.field}" if problem.field else root, problem.message))


class _Checks:
    """What was found of plans. Every pass asks again, and making all requests of a plan takes time; what is kept goes
    with the plan's document."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[weakref.ref[WarmupPlanSpec], object, tuple[Problem, ...]]] = {}

    def of(self, bundle: Bundle) -> tuple[Problem, ...]:
        """Return what is wrong with a plan and its files."""
        place = (id(bundle.spec), bundle.model)
        files = frozenset((ref, hash(content)) for ref, content in bundle.files.items())
        known = self._known.get(place)
        if known is None or known[0]() is not bundle.spec or known[1] != files:
            forget = weakref.ref(bundle.spec, lambda _: self._known.pop(place, None))
            known = self._known[place] = (forget, files, _looked_at(bundle))
        return known[2]


_checks = _Checks()


def _looked_at(bundle: Bundle) -> tuple[Problem, ...]:
    if (size := len(bundle.text())) > PLAN_BYTES:
        said = (
            f"with its files it is {size} bytes; at most {PLAN_BYTES} fit into a ConfigMap, use smaller or fewer files"
        )
        return (Problem("", said),)
    return tuple(problems_of(bundle))
