"""What `tidegate doctor` makes of what it has seen: each thing that can be missing is named, with what to run."""

import dataclasses

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.api_service import ApiServiceState
from k8s_manager.doctor.checks import (
    DOCUMENT_KINDS,
    ISTIO_KINDS,
    TELEMETRIES,
    CheckArea,
    ClusterFacts,
    Finding,
    GatewayFacts,
    Unseen,
    findings,
    worst,
)
from k8s_manager.doctor.cluster_reader import providers_in, writers_in

READY = GatewayFacts("shared", "inference-gw", "istio=shared", True, (("gw-0", "1.31.0", True), ("gw-1", None, True)))
WELL = ClusterFacts(
    kubernetes="v1.34.4",
    kinds=frozenset({*DOCUMENT_KINDS, *ISTIO_KINDS}),
    denied=(),
    istiod=(("istio-system", "1.31.0", 1),),
    webhook=None,
    managers=(2, 2),
    leader="tidegate-0",
    gateways=(READY,),
)


def test_a_cluster_that_is_well_has_no_remedy():
    assert {(finding.level, finding.remedy) for finding in findings(WELL)} == {("ok", "")}


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"kubernetes": "v1.28.0"}, "Kubernetes v1.28.0 is too old", "upgrade"),
        ({"kinds": frozenset(ISTIO_KINDS)}, "models.tidegate.dev", "kubectl apply -k manifests/"),
        ({"kinds": frozenset(DOCUMENT_KINDS)}, "envoyfilters.networking.istio.io", "istioctl install"),
        ({"istiod": ()}, "no namespace has an istiod", "istioctl install"),
        ({"istiod": (("istio-system", "1.29.2", 1),)}, "istiod 1.29.2 in istio-system is too old", "1.30"),
        ({"istiod": (("istio-system", "1.31.0", 0),)}, "istiod in istio-system is not ready", "describe deployment"),
        ({"webhook": "no answer"}, "does not accept an EnvoyFilter: no answer", "istiod"),
        ({"denied": (("bind", "clusterroles", "gateway pods"),)}, "may not bind clusterroles", "manifests/"),
        ({"managers": None}, "Deployment tidegate-system/tidegate does not exist", "manifests/"),
        ({"managers": (0, 2)}, "0 of 2 managers are ready", "logs deployment/tidegate"),
        ({"leader": ""}, "no manager is the leader", "get lease"),
    ],
)
def test_what_is_missing_is_named_with_what_to_run(change, what, remedy):
    (found,) = [finding for finding in findings(dataclasses.replace(WELL, **change)) if finding.level == "failure"]
    assert what in found.what
    assert remedy in found.remedy


OURS = ApiServiceState("tidegate-system/tidegate", is_ours=True)
KEDA = ApiServiceState("keda/keda-operator-metrics-apiserver")
WITH_KEDA = WELL.kinds | {"scaledobjects.keda.sh"}


def writers(**change) -> dict[str, Finding]:
    """Return the finding about each writer of replicas."""
    found = findings(dataclasses.replace(WELL, **change))
    names = ("hpa", "keda", "tidegate")
    return {name: finding for finding in found for name in names if f"writer {name}" in finding.what}


def test_each_writer_of_replicas_says_whether_it_can_be_used():
    assert usable(external_metrics=OURS) == usable(external_metrics=OURS, kinds=WITH_KEDA) == {"hpa", "tidegate"}
    assert usable(external_metrics=KEDA, kinds=WITH_KEDA) == {"keda", "tidegate"}
    assert usable() == usable(kinds=WITH_KEDA) == {"tidegate"}


def usable(**change) -> set[str]:
    """Return the writers that can be used; the others are no failure, since no model asks for them."""
    found = writers(**change)
    assert {finding.level for finding in found.values()} == {"ok"}
    return {name for name, finding in found.items() if "can be used" in finding.what}


@pytest.mark.parametrize(
    ("change", "writer", "what", "remedy"),
    [
        ({}, "hpa", "no APIService v1beta1.external.metrics.k8s.io", "--external-metrics-listen"),
        ({"external_metrics": KEDA}, "hpa", "held by keda/keda-operator-metrics-apiserver", "writer: keda or tidegate"),
        (
            {"external_metrics": dataclasses.replace(OURS, problem="connection refused")},
            "hpa",
            "does not reach the manager's external metrics: connection refused",
            "kubectl describe apiservice",
        ),
        ({}, "keda", "the cluster has no scaledobjects.keda.sh", "install KEDA"),
        ({"kinds": WITH_KEDA}, "keda", "and there is none", "install KEDA"),
        ({"kinds": WITH_KEDA, "external_metrics": OURS}, "keda", "the managers hold it", "take --external-metrics-"),
        (
            {"kinds": WITH_KEDA, "external_metrics": dataclasses.replace(KEDA, problem="no endpoints")},
            "keda",
            "does not reach the external metrics of keda/keda-operator-metrics-apiserver: no endpoints",
            "kubectl describe apiservice",
        ),
        ({"denied": (("patch", "deployments.apps/scale", "x"),)}, "tidegate", "may not patch", "manifests/"),
    ],
)
def test_a_writer_that_a_model_asks_for_and_cannot_be_used_fails(change, writer, what, remedy):
    assert writers(**change)[writer].level == "ok"
    found = writers(**change, writers=frozenset({writer}))[writer]
    assert (found.level, found.check) == ("failure", "Autoscaling")
    assert what in found.what and remedy in found.remedy


def test_a_conflict_that_is_there_is_a_warning():
    seen = dataclasses.replace(WELL, conflicts=((ObjectKey("Model", "search", "b"), "path /v1 is taken"),))
    (found,) = [finding for finding in findings(seen) if finding.level != "ok"]
    assert (found.level, found.what) == ("warning", "Model search/b: path /v1 is taken")
    assert found.remedy == "kubectl -n search edit model b"


@pytest.mark.parametrize(
    ("change", "level", "what", "remedy"),
    [
        ({"namespace_exists": False}, "failure", "namespace inference-gw does not exist", "kubectl create namespace"),
        ({"pods": ()}, "failure", "has no pod with istio=shared", "spec.managed"),
        ({"pods": (("gw-0", "1.31.0", False),)}, "failure", "0 of 1 pods are ready", "describe pods"),
        ({"pods": (("a", None, True), ("b", None, False))}, "warning", "1 of 2 pods are ready", "describe pods"),
        ({"pods": (("gw-0", "1.29.0", True),)}, "failure", "gw-0 runs the proxy of Istio 1.29.0", "upgrade Istio"),
    ],
)
def test_a_gateway_that_cannot_serve_is_named(change, level, what, remedy):
    seen = dataclasses.replace(WELL, gateways=(dataclasses.replace(READY, **change),))
    (found,) = [finding for finding in findings(seen) if finding.level != "ok"]
    assert (found.level, what in found.what, remedy in found.remedy) == (level, True, True)


@pytest.mark.parametrize(
    ("kinds", "providers", "level", "what"),
    [
        ({TELEMETRIES}, frozenset({"otel", "other"}), "ok", "gateway shared traces requests by the mesh's"),
        ({TELEMETRIES}, frozenset({"other"}), "failure", "the mesh has no extension provider otel"),
        ({TELEMETRIES}, None, "warning", "could not be read"),
        (set(), frozenset({"otel"}), "failure", f"the cluster has no {TELEMETRIES}"),
    ],
    ids=["all is there", "no such provider", "not known", "no such kind"],
)
def test_a_gateway_that_is_to_trace_is_looked_at(kinds, providers, level, what):
    gateway = dataclasses.replace(READY, tracing="otel")
    seen = dataclasses.replace(WELL, gateways=(gateway,), kinds=WELL.kinds | kinds, providers=providers)
    (found,) = [finding for finding in findings(seen) if "trace" in finding.what]
    assert (found.level, what in found.what, bool(found.remedy)) == (level, True, level != "ok")


@pytest.mark.parametrize(
    ("mesh", "names"),
    [
        ("extensionProviders: [{name: otel}, {name: other, envoyOtelAls: {}}]", {"otel", "other"}),
        ("accessLogFile: /dev/stdout", set()),
        ("extensionProviders:", set()),
        ("extensionProviders: [3, {}]", set()),
        ("- a list", set()),
        ("{ cut", set()),
    ],
)
def test_the_providers_of_a_mesh_are_read_from_its_configuration(mesh, names):
    assert providers_in(mesh) == names


def test_rights_that_could_not_be_asked_for_are_no_failure():
    (found,) = [finding for finding in findings(dataclasses.replace(WELL, denied=None)) if finding.level != "ok"]
    assert found.level == "warning"


def test_every_finding_says_what_it_is_about_in_the_order_of_repair():
    areas = [finding.check for finding in findings(WELL)]
    order = [area.value for area in CheckArea]
    assert areas == sorted(areas, key=order.index) and set(areas) == {*order} - {CheckArea.TRACING}


@pytest.mark.parametrize("area", CheckArea)
def test_what_was_not_looked_at_is_said_once_and_counts_for_nothing(area: CheckArea):
    nothing = dataclasses.replace(ClusterFacts(), unseen={area: Unseen("for a test", "look")})
    (found,) = [finding for finding in findings(nothing) if finding.check == area.value]
    assert (found.level, found.what, found.remedy) == ("unknown", f"{area.value}: not looked at, for a test", "look")


def test_the_worst_level_is_a_failure_then_a_warning_then_what_was_not_looked_at():
    levels = ("failure", "warning", "unknown", "ok")
    for number, level in enumerate(levels):
        assert worst([Finding(one, "") for one in reversed(levels[number:])]) == level
    assert worst([]) == "ok"


def test_the_writers_that_models_ask_for_are_read_from_their_documents():
    scaled = {"spec": {"versions": [{"autoscale": {"max": 3, "writer": "hpa"}}, {"name": "v2"}]}}
    by_default = {"spec": {"versions": [{"autoscale": {"max": 3}}]}}
    assert writers_in([scaled, by_default, {"spec": {"versions": None}}, {}]) == {"hpa", "tidegate"}
