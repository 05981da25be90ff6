"""Which gateways log requests, and what the contract says of their lines."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from istio_templates.access_log.line_format import FIELDS, SCHEMA, json_format
from istio_templates.access_log.logger import access_logger
from istio_templates.documents.gateway import InferenceGatewaySpec
from istio_templates.facts import GatewayPool

POOL = GatewayPool("shared", "inference-gw", (("istio", "shared"),), (), access_log=True)
DOCS = Path(__file__).parents[3] / "docs" / "access-log.md"
SPEC = {
    "namespace": "gw",
    "selector": {"istio": "gw"},
    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
}


@pytest.mark.parametrize(
    ("given", "logs"),
    [
        ({}, False),
        ({"managed": {"replicas": 1}}, True),
        ({"accessLog": {"mode": "json"}}, True),
        ({"managed": {"replicas": 1}, "accessLog": {"mode": "off"}}, False),
    ],
    ids=["another owner's", "managed", "asked for", "not wanted"],
)
def test_a_gateway_logs_where_that_is_asked_for_and_managed_ones_by_default(given, logs):
    assert InferenceGatewaySpec.model_validate({**SPEC, **given}).logs_requests is logs


def test_without_a_log_there_is_no_object():
    assert access_logger(replace(POOL, access_log=False)) == []


def test_the_logger_is_one_object_that_no_limit_changes():
    (obj,) = access_logger(POOL)
    (patch,) = obj["spec"]["configPatches"]
    assert (obj["metadata"]["name"], patch["applyTo"]) == ("tidegate-shared-access-log", "NETWORK_FILTER")
    (logger,) = patch["patch"]["value"]["typed_config"]["access_log"]
    assert "filter" not in logger, "without a probe nothing is left out"


def test_no_header_but_the_identifier_of_the_request_is_logged():
    asked = re.findall(r"%REQ\((.*?)\)", " ".join(FIELDS.values()))
    assert sorted(asked) == [":AUTHORITY", ":METHOD", "X-REQUEST-ID"]
    assert not re.search(r"%(RESP|TRAILER)\(", " ".join(FIELDS.values()))
    assert "NQ" in FIELDS["path"], "no query string"


def test_the_contract_describes_every_field_once():
    table = DOCS.read_text().partition("## Fields")[2].partition("## Outcomes")[0]
    described = re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)
    assert described == list(json_format("shared"))
    assert f"`{SCHEMA}`" in DOCS.read_text()
