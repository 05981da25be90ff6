"""SeldonDeployments and KServe's InferenceServices, as models whose pods and routes stay theirs.

Only what their controllers are known to make is proposed, and only where it was read. Seldon Core 1.x gives the pods
that answer for a predictor the label `seldon-app` with the predictor's name (NAME-PREDICTOR, or what the annotation
`seldon.io/svc-name` says) and routes them by a VirtualService NAME-http, if it uses Istio. KServe gives pods
`serving.kserve.io/inferenceservice` and `component`. It makes a VirtualService NAME in its Knative mode alone; in its
Standard mode, where it uses the Gateway API, an HTTPRoute NAME and one with a host of its own for each part, NAME-PART.
"""

from dataclasses import dataclass, field

from istio_templates.facts import Manifest
from k8s_manager.importers.cluster_objects import ExistingObjects, items, namespace_of, part
from k8s_manager.importers.proposal import UNLIMITED, Proposal, label_of

_ROUTED = "its own VirtualService {name} routes it; export it to the gateway's namespace, or leave it out of exportTo"
_UNREAD = "is not proposed: its VirtualService {name} was not read; read virtualservices too, or write a route for it"
_OWN_ROUTE = (
    "is not proposed: {mode} makes no VirtualService, and no HTTPRoute {name} was read; read httproutes and "
    "gateways.gateway.networking.k8s.io too, or write a VirtualService to Service {name}-predictor, and import that"
)
_PARTS = ("predictor", "transformer", "explainer")
_MODES = {"RawDeployment": "Standard", "Standard": "Standard", "Serverless": "Knative", "Knative": "Knative"}
_LONGEST = 63  # a longer predictor's name becomes a hash


Place = tuple[str, str]
"""Namespace and name of a route."""


@dataclass(slots=True)
class ServerRoutes:
    """Routes that controllers of model servers make: VirtualServices that have a model already, HTTPRoutes of a whole
    InferenceService with the labels of its pods, and HTTPRoutes of its parts with its name."""

    limited: set[Place] = field(default_factory=set)
    labels: dict[Place, dict[str, str]] = field(default_factory=dict)
    parts: dict[Place, str] = field(default_factory=dict)


def propose(seen: ExistingObjects, proposal: Proposal) -> ServerRoutes:
    """Propose a Model for each of them that has a VirtualService; return the routes that become no models, or models by
    what is known here."""
    routes = ServerRoutes()
    for deployment in seen.all("SeldonDeployment"):
        _seldon(deployment, seen, proposal)
        routes.limited.add((namespace_of(deployment), f"{deployment['metadata']['name']}-http"))
    for service in seen.all("InferenceService"):
        _kserve(service, seen, routes, proposal)
    return routes


def _seldon(deployment: Manifest, seen: ExistingObjects, proposal: Proposal) -> None:
    name, spec = deployment["metadata"]["name"], part(deployment, "spec")
    known = ("name", "predictors", "protocol", "transport", "annotations", "replicas", "serverType")
    proposal.leave_out(deployment, "spec", spec, known)
    predictors = [found for found in enumerate(items(spec, "predictors")) if _answers(deployment, *found, proposal)]
    if not predictors:
        proposal.note(deployment, "spec.predictors", "is not proposed: it has none that answers")
        return
    shares = [predictor.get("traffic") for _, predictor in predictors] if len(predictors) > 1 else [100]
    if any(not isinstance(share, int) for share in shares) or sum(shares) != 100:  # type: ignore[arg-type]
        proposal.note(deployment, "spec.predictors", "is not proposed: its traffic does not add up to 100; make it 100")
        return
    labels = [_seldon_app(deployment, number, predictor, proposal) for number, predictor in predictors]
    if not all(labels):
        return
    names = [label_of(str(predictor.get("name", ""))) or f"v{number + 1}" for number, predictor in predictors]
    versions = [
        {"name": version, "existing": {"labels": {"seldon-app": label}}}
        for version, label in zip(names, labels, strict=True)
    ]
    traffic = [{"version": version, "weight": share} for version, share in zip(names, shares, strict=True)]
    said = (
        f"requests over gRPC that a VirtualService {name}-grpc routes are not limited by it: make a Model of their own"
    )
    proposal.note(deployment, "", said)
    _attach(deployment, f"{name}-http", versions, traffic, seen, proposal)


def _answers(deployment: Manifest, number: int, predictor: Manifest, proposal: Proposal) -> bool:
    """Tell whether a predictor answers requests; note what of it is not expressed."""
    place = f"spec.predictors[{number}]"
    if predictor.get("shadow"):
        proposal.note(deployment, place, "is a shadow: a copy of the requests, which is not expressed")
        return False
    for child in items(part(predictor, "graph"), "children"):
        said = f"calls {child.get('name')}; Tidegate limits the whole graph by its first pods"
        proposal.note(deployment, f"{place}.graph", said)
    known = ("name", "graph", "componentSpecs", "replicas", "traffic", "labels", "annotations", "shadow")
    proposal.leave_out(deployment, place, predictor, known)
    return True


def _seldon_app(deployment: Manifest, number: int, predictor: Manifest, proposal: Proposal) -> str:
    """Return the label of the pods that answer for a predictor; empty, with a note, where it is not certain."""
    place, annotations = f"spec.predictors[{number}]", part(predictor, "annotations")
    has_engine = str(annotations.get("seldon.io/no-engine", "")).lower() != "true"
    apart = (
        str(part(part(deployment, "spec"), "annotations").get("seldon.io/engine-separate-pod", "")).lower() == "true"
    )
    if apart and has_engine:
        said = "is not proposed: its engine runs in pods of its own, and those alone have the label seldon-app"
        proposal.note(deployment, place, said)
        return ""
    name = str(annotations.get("seldon.io/svc-name") or f"{deployment['metadata']['name']}-{predictor.get('name')}")
    if not predictor.get("name") or len(name) > _LONGEST:
        proposal.note(deployment, place, "is not proposed: its pods' label seldon-app is not known; shorten its name")
        return ""
    return name


def _kserve(service: Manifest, seen: ExistingObjects, routes: ServerRoutes, proposal: Proposal) -> None:
    """Propose the Model of an InferenceService, or say of which pods its HTTPRoute is."""
    namespace, name, spec = namespace_of(service), service["metadata"]["name"], part(service, "spec")
    _note_predictor(service, spec, proposal)
    labels = {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
    mode = _mode(service)
    has_virtual_service = seen.get("VirtualService", namespace, name) is not None
    if mode != "Knative" and not has_virtual_service and seen.get("HTTPRoute", namespace, name):
        routes.labels[namespace, name] = labels
        routes.parts |= {(namespace, f"{name}-{one}"): name for one in _PARTS}
        return
    if mode not in ("Knative", ""):
        proposal.note(service, "", _OWN_ROUTE.format(mode=f"deploymentMode {mode}", name=name))
        return
    routes.limited.add((namespace, name))
    if not mode and not has_virtual_service:
        said = "says no deploymentMode; KServe's default is Standard, which has no VirtualService"
        proposal.note(service, "", said)
    versions: list[Manifest] = [{"name": "v1", "existing": {"labels": labels}}]
    _attach(service, name, versions, [{"version": "v1", "weight": 100}], seen, proposal)


def _note_predictor(service: Manifest, spec: Manifest, proposal: Proposal) -> None:
    """Note what of an InferenceService stays its own."""
    predictor = part(spec, "predictor")
    proposal.leave_out(service, "spec", spec, ("predictor",))
    if "canaryTrafficPercent" in predictor:
        said = "is not expressed: both revisions are counted as one version; Tidegate's own split is spec.traffic"
        proposal.note(service, "spec.predictor.canaryTrafficPercent", said)
    if {"minReplicas", "maxReplicas", "scaleTarget"} & predictor.keys():
        proposal.note(service, "spec.predictor", "keeps its autoscaler; the limit follows its ready pods")


def _mode(service: Manifest) -> str:
    """Return in which mode KServe runs a service: what it has noted itself, else what it was asked for; empty where
    that is the default of an installation."""
    asked = part(service["metadata"], "annotations").get("serving.kserve.io/deploymentMode")
    mode = str(part(service, "status").get("deploymentMode") or asked or "")
    return _MODES.get(mode, mode)


def _attach(
    obj: Manifest,
    route: str,
    versions: list[Manifest],
    traffic: list[Manifest],
    seen: ExistingObjects,
    proposal: Proposal,
) -> None:
    """Propose a model that limits another controller's VirtualService if that was read. What stays theirs is not noted
    field by field."""
    if not seen.get("VirtualService", namespace_of(obj), route):
        proposal.note(obj, "", _UNREAD.format(name=route))
        return
    spec = {"attachTo": {"virtualService": route}, "versions": versions, "traffic": traffic}
    proposal.put("Model", obj["metadata"]["name"], spec, namespace_of(obj))
    proposal.note(obj, "", _ROUTED.format(name=route))
    proposal.note(obj, "", UNLIMITED)
