"""Rules for warm-up plans: where a model's plan is, which files belong to it, and what is wrong with it. Pure, but for
what `PlanChecks` remembers."""

import weakref
from collections.abc import Iterator, Mapping

from istio_templates.documents import ModelSpec, WarmupPlanSpec
from istio_templates.documents.warmup import PLAN_BYTES
from istio_templates.errors import Problem
from istio_templates.workloads.warm_gate import GATE
from k8s_manager.admission.claim_index import ClaimIndex, FilesInCluster
from k8s_manager.admission.rules.rejection import Rejection, invalid, not_found
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import problems_of
from warmup.plans.tensors import Files

Plans = Mapping[tuple[str, str], WarmupPlanSpec]
Key = tuple[str, str]  # namespace and name


class PlanChecks:
    """Problems of warm-up plans, remembered as long as the plan's document lives: every reconcile pass checks again,
    and compiling all requests of a plan takes time.

    It belongs to one thread; another thread works on a `copy`.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[weakref.ref[WarmupPlanSpec], object, tuple[Problem, ...]]] = {}

    def copy(self) -> "PlanChecks":
        """Return checks of its own that know the same problems."""
        other = PlanChecks()
        for (_, model), (reference, files, problems) in list(self._known.items()):
            if (plan := reference()) is not None:
                other._remember(plan, model, files, problems)
        return other

    def problems(self, bundle: Bundle) -> tuple[Problem, ...]:
        """Return what is wrong with a plan and its files."""
        files = frozenset((ref, hash(content)) for ref, content in bundle.files.items())
        known = self._known.get((id(bundle.spec), bundle.model))
        if known is not None and known[0]() is bundle.spec and known[1] == files:
            return known[2]
        found = _problems(bundle)
        self._remember(bundle.spec, bundle.model, files, found)
        return found

    def _remember(self, plan: WarmupPlanSpec, model: str, files: object, problems: tuple[Problem, ...]) -> None:
        key, known = (id(plan), model), self._known
        known[key] = (weakref.ref(plan, lambda _: known.pop(key, None)), files, problems)


def bundle_of(key: Key, spec: ModelSpec, plans: Plans, files: FilesInCluster) -> Bundle | None:
    """Return the plan of a model with all its files that exist; None without a plan."""
    warmup = spec.warmup
    plan = warmup.plan or (plans.get((key[0], warmup.plan_ref.name)) if warmup.plan_ref else None)
    if plan is None or warmup.how == "none":
        return None
    return Bundle(key[1], plan, files_of(key[0], plan, files))


def files_of(namespace: str, plan: WarmupPlanSpec, files: FilesInCluster) -> Files:
    """Return the files of a plan that exist."""
    found = {ref: files.get((namespace, ref.config_map), {}).get(ref.key) for ref in plan.files()}
    return {ref: content for ref, content in found.items() if content is not None}


def check_plan(namespace: str, plan: WarmupPlanSpec, files: FilesInCluster, plans: PlanChecks) -> Iterator[Rejection]:
    """Yield every reason against a plan in a document of its own; the name of its model is not known."""
    yield from _bundle("spec", Bundle("model", plan, files_of(namespace, plan, files)), plans)


def check_warmup(key: Key, spec: ModelSpec, index: ClaimIndex, plans: PlanChecks) -> Iterator[Rejection]:
    """Yield every reason against a model's warm-up."""
    warmup = spec.warmup
    if warmup.how == "none":
        return
    if warmup.plan_ref and (key[0], warmup.plan_ref.name) not in index.warmup_plans:
        message = f"namespace {key[0]} has no accepted WarmupPlan {warmup.plan_ref.name}; create or correct it first"
        yield not_found("spec.warmup.planRef.name", message)
    if bundle := bundle_of(key, spec, index.warmup_plans, index.files):
        yield from _bundle("spec.warmup.plan", bundle, plans)
    for number, version in enumerate(spec.versions):
        if warmup.how == "gate" and version.existing and (*key, version.name) in index.ungated:
            yield invalid(f"spec.versions[{number}].existing", _gate_missing(version.name))


def _gate_missing(version: str) -> str:
    return (
        f"pods of version {version} have no readiness gate, and a running pod cannot get one; add to their template's "
        f"spec: readinessGates: [{{conditionType: {GATE}}}]"
    )


def _bundle(root: str, bundle: Bundle, plans: PlanChecks) -> Iterator[Rejection]:
    missing = sorted(f"{ref.config_map}/{ref.key}" for ref in bundle.spec.files() - bundle.files.keys())
    for name in missing:
        message = (
            f"file {name} (ConfigMap/key) does not exist; create the ConfigMap with that key and the label "
            "tidegate.dev/warmup: file"
        )
        yield not_found(root, message)
    if not missing:
        for problem in plans.problems(bundle):
            yield invalid(f"{root}.{problem.field}" if problem.field else root, problem.message)


def _problems(bundle: Bundle) -> tuple[Problem, ...]:
    if (size := len(bundle.text())) > PLAN_BYTES:
        message = (
            f"the plan with its files has {size} bytes, and a ConfigMap holds {PLAN_BYTES}; use smaller or fewer files"
        )
        return (Problem("", message),)
    return tuple(problems_of(bundle))
