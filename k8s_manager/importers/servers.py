"""SeldonDeployments and KServe's InferenceServices, as models whose pods and routes stay theirs.

Labels and names of what they make: Seldon Core 1.x (`seldon-app`, VirtualService NAME-http), KServe 0.1x
(`serving.kserve.io/inferenceservice`, VirtualService NAME).
"""

from istio_templates.facts import Manifest
from k8s_manager.importers.existing_objects import ExistingObjects, items, namespace_of, part
from k8s_manager.importers.proposal import Proposal
from k8s_manager.importers.virtual_services import UNLIMITED

_ROUTED = "its own VirtualService {name} routes it; export it to the gateway's namespace, or leave it out of exportTo"


def propose(seen: ExistingObjects, proposal: Proposal) -> set[tuple[str, str]]:
    """Propose a Model for each of them; return namespace and name of the VirtualServices that those limit."""
    found = [_seldon(deployment, proposal) for deployment in seen.all("SeldonDeployment")]
    found += [_kserve(service, proposal) for service in seen.all("InferenceService")]
    return {place for place in found if place is not None}


def _seldon(deployment: Manifest, proposal: Proposal) -> tuple[str, str] | None:
    name, spec = deployment["metadata"]["name"], part(deployment, "spec")
    proposal.leave_out(deployment, "spec", spec, ("name", "predictors", "protocol", "transport"))
    predictors = []
    for number, predictor in enumerate(items(spec, "predictors")):
        place = f"spec.predictors[{number}]"
        if predictor.get("shadow"):
            proposal.note(deployment, place, "is a shadow: a copy of the requests, which is not expressed")
            continue
        for child in items(part(predictor, "graph"), "children"):
            proposal.note(
                deployment,
                f"{place}.graph",
                f"goes on to {child.get('name')}; Tidegate limits the whole, by its first pods",
            )
        known = ("name", "graph", "componentSpecs", "replicas", "traffic", "labels", "annotations", "shadow")
        proposal.leave_out(deployment, place, predictor, known)
        predictors.append((str(predictor.get("name", f"v{number + 1}")), predictor.get("traffic")))
    if not predictors:
        proposal.note(deployment, "spec.predictors", "is not proposed: it has none that answers")
        return None
    shares = [share if isinstance(share, int) else 0 for _, share in predictors]
    if len(predictors) == 1:
        shares = [100]
    if sum(shares) != 100:
        proposal.note(deployment, "spec.predictors", f"has traffic that adds up to {sum(shares)}; make it 100")
    versions = [{"name": p, "existing": {"labels": {"seldon-app": f"{name}-{p}"}}} for p, _ in predictors]
    traffic = [{"version": p, "weight": share} for (p, _), share in zip(predictors, shares, strict=True)]
    proposal.note(deployment, "", f"requests over gRPC ({name}-grpc) are not limited by it: make a Model of their own")
    return _attached(deployment, f"{name}-http", versions, traffic, proposal)


def _kserve(service: Manifest, proposal: Proposal) -> tuple[str, str]:
    name, spec = service["metadata"]["name"], part(service, "spec")
    predictor = part(spec, "predictor")
    proposal.leave_out(service, "spec", spec, ("predictor",))
    if "canaryTrafficPercent" in predictor:
        said = "is not expressed: both revisions are counted as one version; Tidegate's own split is spec.traffic"
        proposal.note(service, "spec.predictor.canaryTrafficPercent", said)
    if {"minReplicas", "maxReplicas", "scaleTarget"} & predictor.keys():
        proposal.note(service, "spec.predictor", "goes on being scaled as it is; the limit follows its ready pods")
    labels = {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
    versions: list[Manifest] = [{"name": "v1", "existing": {"labels": labels}}]
    return _attached(service, name, versions, [{"version": "v1", "weight": 100}], proposal)


def _attached(
    obj: Manifest, route: str, versions: list[Manifest], traffic: list[Manifest], proposal: Proposal
) -> tuple[str, str]:
    """Propose a model that limits another controller's VirtualService, and return that. What stays theirs is not noted
    field by field."""
    spec = {"attachTo": {"virtualService": route}, "versions": versions, "traffic": traffic}
    proposal.put("Model", obj["metadata"]["name"], spec, namespace_of(obj))
    proposal.note(obj, "", _ROUTED.format(name=route))
    proposal.note(obj, "", UNLIMITED)
    return namespace_of(obj), route
