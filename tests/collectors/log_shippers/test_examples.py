"""The rendered examples in manifests/logging are what the code renders, and hold together."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from collectors.log_shippers import filebeat as filebeat_room
from collectors.log_shippers import fluent_bit as fluent_bit_room
from collectors.log_shippers.filebeat import filebeat
from collectors.log_shippers.fluent_bit import fluent_bit
from collectors.log_shippers.otel_collector import otel_collector
from collectors.log_shippers.rsyslog import CRI, PLACE, rsyslog
from collectors.log_shippers.shipment import MARK, PODS, LogShipment, shipment
from tests.support.pages import ROOT

FOLDER = ROOT / "manifests" / "logging"
KAFKA = shipment("kafka-0.kafka:9092,kafka-1.kafka:9092", None, "inference-gw", ["search"])
SEARCH = shipment(None, "http://search.logging:9200", "inference-gw", ["search"])
EXAMPLES: dict[str, tuple[Callable[[LogShipment], str], LogShipment]] = {
    f"{name}-{kind}.{ending}": (render, given)
    for name, render, ending in (
        ("fluent-bit", fluent_bit, "yaml"),
        ("otel-collector", otel_collector, "yaml"),
        ("filebeat", filebeat, "yaml"),
        ("rsyslog", rsyslog, "conf"),
    )
    for kind, given in (("kafka", KAFKA), ("search", SEARCH))
}
LINE = '{"path":"/a\\"b","request_id":"1","schema":"gw/1","status":200}'
OTHERS = (
    "[2026-11-29][warning] a message",
    '{"level":"info","msg":"of the mesh"}',
    '{"path":"/\\"schema\\":\\"gw/1\\"","status":200}',
    f"a message with {MARK}",
)
FILE = f"{PODS}/search_ranker-7d9f-x1_5f6b-77/server/0.log"
WHERE = {"namespace": "search", "pod": "ranker-7d9f-x1", "container": "server"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_code_renders(name: str, update_golden: bool) -> None:
    render, given = EXAMPLES[name]
    file = FOLDER / name
    if update_golden:
        file.write_text(render(given))
    assert file.read_text() == render(given)


def test_there_is_no_other_example() -> None:
    assert {file.name for file in FOLDER.iterdir()} == EXAMPLES.keys()


def test_no_example_holds_credentials_or_a_line_without_end() -> None:
    for render, given in EXAMPLES.values():
        text = render(given)
        assert text.endswith("\n") and not re.search(r"(?i)passw|secret|api_key", text)


def example(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / name).read_text()))


@pytest.mark.parametrize("kind", ["kafka", "search"])
def test_fluent_bit_reads_ships_and_parses_by_names_that_exist(kind: str) -> None:
    found = example(f"fluent-bit-{kind}.yaml")
    pipeline, parsers = found["pipeline"], {one["name"] for one in found["parsers"]}
    tags = {one["tag"] for one in pipeline["inputs"]}
    assert {one["match"] for one in pipeline["outputs"]} == {one["match"] for one in pipeline["filters"]} == tags
    assert {one["parser"] for one in pipeline["filters"] if one["name"] == "parser"} <= parsers
    assert len({one["db"] for one in pipeline["inputs"]}) == len(tags) == 2


@pytest.mark.parametrize("kind", ["kafka", "search"])
def test_the_pipelines_of_the_otel_collector_are_of_parts_that_exist_and_are_all_used(kind: str) -> None:
    found = example(f"otel-collector-{kind}.yaml")
    pipelines = found["service"]["pipelines"].values()
    for part in ("receivers", "exporters"):
        assert sorted(name for pipeline in pipelines for name in pipeline[part]) == sorted(found[part])
    stored = [one["storage"] for one in found["receivers"].values()]
    stored += [one["sending_queue"]["storage"] for one in found["exporters"].values()]
    assert set(stored) == set(found["extensions"]) == set(found["service"]["extensions"])


def test_the_otel_collector_gives_the_kafka_exporter_objects_and_no_texts() -> None:
    found = example("otel-collector-kafka.yaml")
    assert found["exporters"]["kafka/gateway"]["logs"]["encoding"] == "raw"
    operators = [one["type"] for one in found["receivers"]["filelog/gateway"]["operators"]]
    assert operators == ["container", "filter", "json_parser"]
    drop = found["receivers"]["filelog/gateway"]["operators"][1]["expr"]
    assert drop == 'not (body startsWith "{" and body contains "\\"schema\\":\\"gw/1\\"")'


@pytest.mark.parametrize("kind", ["kafka", "search"])
def test_filebeat_sends_each_kind_of_log_to_its_own_place(kind: str) -> None:
    found = example(f"filebeat-{kind}.yaml")
    places = {one["id"]: one["fields"]["destination"] for one in found["filebeat.inputs"]}
    assert places == {"tidegate-gateway": "tidegate-gateway-logs", "tidegate-model": "tidegate-model-logs"}
    output = found["output.kafka"]["topic"] if kind == "kafka" else found["output.elasticsearch"]["index"]
    assert output == "%{[fields.destination]}"


@pytest.mark.parametrize(
    "pattern",
    [
        one["regex"].removeprefix("log ")
        for one in fluent_bit_room.config(KAFKA)["pipeline"]["filters"]
        if one["name"] == "grep"
    ]
    + filebeat_room.config(KAFKA)["filebeat.inputs"][0]["include_lines"],
)
def test_lines_of_the_access_log_are_shipped_and_no_others(pattern: str) -> None:
    assert re.search(pattern, LINE)
    assert [line for line in OTHERS if re.search(pattern, line)] == []


def test_where_a_line_is_from_is_read_from_its_file() -> None:
    by_fluent_bit = re.match(fluent_bit_room.POD_FILE.replace("(?<", "(?P<"), FILE)
    by_rsyslog = re.search(PLACE, FILE)
    tokens = re.escape(filebeat_room.PLACE)
    by_filebeat = re.fullmatch(re.sub(r"%\\{(\w*)\\}", r"(.+?)", tokens), FILE)
    assert by_fluent_bit is not None and by_fluent_bit.groupdict() == WHERE
    assert by_rsyslog is not None and list(by_rsyslog.groups()) == list(WHERE.values())
    assert by_filebeat is not None and [by_filebeat[1], by_filebeat[2], by_filebeat[4]] == list(WHERE.values())


def test_rsyslog_parts_a_line_of_a_container_runtime() -> None:
    found = re.match(CRI, "2026-11-29T19:00:00.123456789Z stdout F  a line ")
    assert found is not None and found.groups() == ("2026-11-29T19:00:00.123456789Z", "stdout", "F", " a line ")


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslog is not installed")
@pytest.mark.parametrize("kind", ["kafka", "search"])
def test_rsyslog_accepts_its_example(kind: str, tmp_path: Path) -> None:
    text = (FOLDER / f"rsyslog-{kind}.conf").read_text().replace("/var/lib/tidegate-logs", str(tmp_path))
    (tmp_path / "rsyslog.conf").write_text(text)
    command = ["rsyslogd", "-N1", "-f", str(tmp_path / "rsyslog.conf")]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "error" not in run.stderr
