"""Which gateways trace requests, by which provider, and what a document may say of it."""

import math
from dataclasses import replace

import pytest

from istio_templates.catalog import ORDER
from istio_templates.documents import parse
from istio_templates.documents.gateway import TRACING_PROVIDER, Tracing
from istio_templates.errors import Invalid
from istio_templates.facts import GatewayPool, TracingFacts
from istio_templates.traces.telemetry import telemetry
from tests.support.documents import gateway

POOL = GatewayPool("shared", "inference-gw", (("istio", "shared"), ("zone", "a")), ())


def test_a_gateway_that_does_not_ask_for_traces_has_no_object():
    assert telemetry(POOL) == []


def test_one_object_selects_the_gateways_pods_alone():
    (obj,) = telemetry(replace(POOL, tracing=TracingFacts("otel", 0.5)))
    assert (obj["apiVersion"], obj["metadata"]["name"]) == ("telemetry.istio.io/v1", "tidegate-shared-tracing")
    assert obj["metadata"]["namespace"] == "inference-gw"
    assert obj["spec"] == {
        "selector": {"matchLabels": {"istio": "shared", "zone": "a"}},
        "tracing": [{"providers": [{"name": "otel"}], "randomSamplingPercentage": 0.5}],
    }


def test_it_comes_last_so_that_a_cluster_without_the_kind_has_everything_else():
    assert ORDER[-2:] == ("Telemetry", "ScaledObject")


def test_the_provider_is_by_default_the_one_that_istio_documents():
    spec = parse(gateway(tracing={"sampling": 100})).spec
    assert (spec.tracing.sampling, spec.tracing.provider) == (100, TRACING_PROVIDER)


@pytest.mark.parametrize("given", [0, 0.01, 1, 99.9, 100])
def test_percentages_are_taken(given):
    assert parse(gateway(tracing={"sampling": given})).spec.tracing.sampling == given


@pytest.mark.parametrize("given", [-0.1, 100.01, 10**15, True, "5", "5%", []])
def test_what_is_no_percentage_is_rejected_with_what_is(given):
    with pytest.raises(Invalid) as error:
        parse(gateway(tracing={"sampling": given}))
    (problem,) = error.value.problems
    assert problem.field == "spec.tracing.sampling"
    assert "is no percentage; write a number from 0 to 100" in problem.message


@pytest.mark.parametrize("given", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_rejected_with_its_field(given):
    with pytest.raises(Invalid, match=r"spec\.tracing\.sampling: is -?(nan|inf), which is no number of JSON"):
        parse(gateway(tracing={"sampling": given}))
    with pytest.raises(ValueError, match="is no percentage; write a number from 0 to 100"):
        Tracing.model_validate({"sampling": given})


def test_how_much_is_traced_has_no_default():
    with pytest.raises(Invalid, match=r"spec\.tracing\.sampling"):
        parse(gateway(tracing={}))


@pytest.mark.parametrize("given", ["", " ", "a b", "-a", "a/b", "a\nb", "x" * 254])
def test_what_cannot_name_a_provider_is_rejected(given):
    with pytest.raises(Invalid) as error:
        parse(gateway(tracing={"sampling": 1, "provider": given}))
    (problem,) = error.value.problems
    assert problem.field == "spec.tracing.provider"
    assert "is no name of an extension provider" in problem.message
