"""No value that an operator gives adds configuration to a shipper."""

import re
import shlex

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.log_shippers.rsyslog import quoted, rsyslog
from collectors.log_shippers.shipment import KafkaTarget, SearchTarget, shipment
from istio_templates.errors import Invalid
from k8s_manager.cli.statistics_commands.shipper import RENDERERS

HOSTILE = [
    'a:9092"] action(type="omprog" binary="/bin/sh',
    "a:9092\n- b:9092",
    "a:9092\n",
    "a:9092 ",
    "${HOME}:9092",
    "%{[x]}:9092",
    "a:9092,",
    "",
    "a",
    "a:",
    "a:0",
    "a:65536",
    "a:+1",
    "a:\u0661",
    ":9092",
    "-a:9092",
    "a-:9092",
    "a:b:9092",
    "[a]:9092",
    "user:pass@a:9092",
    "a" * 254 + ":9092",
    "a:" + "9" * 5000,
    "a:092",
]
URLS = [
    "http://a:9200\n",
    'http://a:9200/"',
    "http://a:9200/${X}",
    "http://a:9200/a b",
    "http://a:9200/?x=1",
    "http://a:9200/#x",
    "http://a",
    "a:9200",
    "ftp://a:9200",
    "http://u:p@a:9200",
    "http://[a]:9200",
    "http://[::1:9200",
    "http://a:99999",
    "http://a:0",
    "http:///x",
    "",
    "http://a\t:9200",
]


@pytest.mark.parametrize("brokers", HOSTILE)
def test_a_broker_that_is_none_is_rejected(brokers: str) -> None:
    with pytest.raises(Invalid, match=r"is no broker; give HOST:PORT"):
        shipment(brokers, None, "inference-gw", [])


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_is_none_is_rejected_and_no_password_shown(url: str) -> None:
    with pytest.raises(Invalid, match=r"search: ") as caught:
        shipment(None, url, "inference-gw", [])
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a/b", "*", "a\n", "..", "-a", "a" * 64, 'a"'])
def test_a_namespace_that_is_none_is_rejected(name: str) -> None:
    with pytest.raises(Invalid, match="gateway namespace"):
        shipment("a:9092", None, name, [])
    with pytest.raises(Invalid, match="model namespace"):
        shipment("a:9092", None, "inference-gw", ["search", name])


@pytest.mark.parametrize(("kafka", "search"), [(None, None), ("a:9092", "http://a:9200")])
def test_one_target_is_given(kafka: str | None, search: str | None) -> None:
    with pytest.raises(Invalid, match=r"give --kafka HOST:PORT,\.\.\. or --search URL"):
        shipment(kafka, search, "inference-gw", [])


def test_all_problems_are_said_together() -> None:
    with pytest.raises(Invalid) as caught:
        shipment("a,b", None, "A", ["B"])
    assert caught.value.count == 4


@pytest.mark.parametrize("broker", ["kafka-0.kafka.svc:9092", "10.0.0.1:9092", "[fd00::1]:9092", "K:1"])
def test_a_broker_is_taken_as_it_is(broker: str) -> None:
    assert shipment(f"{broker},b:9092", None, "g", []).target == KafkaTarget((broker, "b:9092"))


@pytest.mark.parametrize("url", ["http://a:9200", "https://es.example.com:443/logs/v1", "http://[fd00::1]:9200"])
def test_an_address_is_taken_as_it_is(url: str) -> None:
    found = shipment(None, f"{url}/", "g", []).target
    assert isinstance(found, SearchTarget) and found.url == url


@given(st.text(max_size=40))
@example("a:9092")
@example('a"b:1')
def test_what_is_accepted_stands_in_each_configuration_as_one_value(text: str) -> None:
    try:
        given_shipment = shipment(f"first:1,{text}", None, "inference-gw", ["search"])
    except Invalid:
        return
    brokers = ["first:1", *text.split(",")]
    found = {name: render(given_shipment) for name, render in RENDERERS.items()}
    assert yaml.safe_load(found["otel-collector"])["exporters"]["kafka/model"]["brokers"] == brokers
    assert yaml.safe_load(found["filebeat"])["output.kafka"]["hosts"] == brokers
    assert yaml.safe_load(found["fluent-bit"])["pipeline"]["outputs"][0]["brokers"] == ",".join(brokers)
    lists = re.findall(r" broker=\[([^]]*(?:\][^]]*)*?)\] confParam", found["rsyslog"])
    assert [shlex.split(one.replace(",", " ")) for one in lists] == [brokers, brokers]


@given(st.text())
def test_a_constant_of_rsyslog_ends_where_the_text_ends(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert re.fullmatch(r'(?:[^"\\$]|\\["\\$])*', inner)
    assert re.sub(r'\\(["\\$])', r"\1", inner) == text


def test_without_namespaces_of_models_only_gateways_are_shipped() -> None:
    only = shipment("a:9092", None, "inference-gw", [])
    for render in RENDERERS.values():
        text = render(only)
        assert "tidegate-gateway-logs" in text and "model" not in text.replace("# ", "")
    assert rsyslog(only).count("ruleset(") == 1
