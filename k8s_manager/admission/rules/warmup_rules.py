"""Rules for warm-up plans: where a model's plan is, which files belong to it, and what is wrong with it. Pure, but for
what `PlanChecks` remembers."""

import weakref
from collections.abc import Iterable, Iterator, Mapping

from istio_templates.documents import Document, ModelSpec, WarmupPlanSpec
from istio_templates.documents.warmup import PLAN_BYTES, FileRef
from istio_templates.errors import Problem
from istio_templates.workloads.warm_gate import GATE
from k8s_manager.admission.claim_index import ClaimIndex, FilesInCluster
from k8s_manager.admission.rules.rejection import Rejection, invalid, not_found
from k8s_manager.world.world import World
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import problems_of
from warmup.plans.tensors import Files

Plans = Mapping[tuple[str, str], WarmupPlanSpec]
Key = tuple[str, str]  # namespace and name
HEAVY = 4096
"""Of the work to try a plan, about in elements: some milliseconds."""


class PlanChecks:
    """Problems of warm-up plans, remembered as long as the plan's document lives: every reconcile pass checks again,
    and compiling all requests of a plan takes time.

    It belongs to one thread; another thread works on a `copy`.
    """

    def __init__(self) -> None:
        self.version = 0
        """It grows when problems were found elsewhere."""
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
        files = _contents(bundle)
        known = self._known.get((id(bundle.spec), bundle.model))
        if known is not None and known[0]() is bundle.spec and known[1] == files:
            return known[2]
        found = _problems(bundle)
        self._remember(bundle.spec, bundle.model, files, found)
        return found

    def untried(self, bundles: Iterable[Bundle]) -> Iterator[Bundle]:
        """Yield the bundles of which it is not known what is wrong with them."""
        for bundle in bundles:
            known = self._known.get((id(bundle.spec), bundle.model))
            if known is None or known[0]() is not bundle.spec or known[1] != _contents(bundle):
                yield bundle

    def remember(self, bundle: Bundle, problems: tuple[Problem, ...]) -> None:
        """Remember what is wrong with a plan and its files, which was found elsewhere."""
        self.version += 1
        self._remember(bundle.spec, bundle.model, _contents(bundle), problems)

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


def heavy_bundles(documents: Iterable[Document], world: World) -> Iterator[Bundle]:
    """Yield the plans of documents that are long enough to be tried beside the event loop."""
    plans: dict[Key, WarmupPlanSpec] | None = None
    for document in documents:
        namespace, spec = document.namespace or "", document.spec
        bundle: Bundle | None = None
        if isinstance(spec, WarmupPlanSpec):
            bundle = Bundle("model", spec, files_of(namespace, spec, world.files))
        elif isinstance(spec, ModelSpec) and spec.warmup.how != "none":
            if plans is None:
                plans = {(one.key.namespace, one.key.name): one.spec for one in world.warmup_plans if one.spec}
            bundle = bundle_of((namespace, document.name), spec, plans, world.files)
        if bundle is not None and is_heavy(bundle):
            yield bundle


def is_heavy(bundle: Bundle) -> bool:
    """Tell whether it takes more than some milliseconds to find what is wrong with a plan."""
    tensors = [tensor for case in bundle.spec.cases for tensor in (case.inputs or {}).values()]
    given = sum(len(tensor.generator.values or ()) + len(tensor.generator.b64 or "") // 8 for tensor in tensors)
    texts = sum(len(case.text or "") + (HEAVY if case.body is not None else 0) // 8 for case in bundle.spec.cases)
    sizes = sum(len(case.inputs or ()) * len(case.batch_sizes) for case in bundle.spec.cases)
    return given + texts // 64 + 32 * sizes + sum(map(len, bundle.files.values())) // 8 > HEAVY


def _contents(bundle: Bundle) -> frozenset[tuple[FileRef, int]]:
    return frozenset((ref, hash(content)) for ref, content in bundle.files.items())


def problems_in(bundle: Bundle) -> tuple[Problem, ...]:
    """Return what is wrong with a plan and its files; it knows nothing and remembers nothing, so any thread may ask."""
    return _problems(bundle)


def _problems(bundle: Bundle) -> tuple[Problem, ...]:
    if (size := len(bundle.text())) > PLAN_BYTES:
        message = (
            f"the plan with its files has {size} bytes, and a ConfigMap holds {PLAN_BYTES}; use smaller or fewer files"
        )
        return (Problem("", message),)
    return tuple(problems_of(bundle))
