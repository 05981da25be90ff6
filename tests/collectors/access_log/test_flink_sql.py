"""The script for Flink: what is in `manifests/flink` is what the rules say, and runs as the deployment runs it."""

from pathlib import Path

import pytest
import yaml

from collectors.access_log.identity import CLUSTER, OWN_ROUTE, ROUTE
from collectors.access_log.outcomes import BY_FLAG, OUTCOMES
from collectors.access_log.rows import LEVELS
from collectors.access_log.sql.flink_sql import ROW_TYPES, SOURCE, file_tables, flink_sql, kafka_script
from collectors.request_statistics.row_document import row_document
from scripts.generate import BROKERS
from tests.collectors.access_log.lines import BEGIN, line
from tests.collectors.access_log.test_aggregation_sql import by_engine

FLINK = Path(__file__).parents[3] / "manifests" / "flink"
SCRIPT = kafka_script(BROKERS)


def test_the_file_beside_the_deployment_is_the_script():
    head, _, script = (FLINK / "request-rows.sql").read_text().partition("\n")
    assert script == SCRIPT, "run: make generate"
    assert head == "-- Generated from collectors/access_log/sql/flink_sql.py: make generate"


def test_the_deployment_runs_the_script_with_checkpoints_and_as_many_lines_as_it_has_read():
    deployment, _ = yaml.safe_load_all((FLINK / "deployment.yaml").read_text())
    kustomization = yaml.safe_load((FLINK / "kustomization.yaml").read_text())
    (generator,) = kustomization["configMapGenerator"]
    template = deployment["spec"]["podTemplate"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in template["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    assert volumes["script"]["configMap"]["name"] == generator["name"]
    assert deployment["spec"]["job"]["args"] == ["--scriptUri", f"file://{mounts['script']}/{generator['files'][0]}"]
    settings = deployment["spec"]["flinkConfiguration"]
    assert settings["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert settings["execution.checkpointing.dir"] == f"file://{mounts['checkpoints']}"
    assert "'sink.delivery-guarantee' = 'exactly-once'" in SCRIPT


def test_the_image_has_the_connector_of_the_version_that_the_deployment_runs():
    deployment, _ = yaml.safe_load_all((FLINK / "deployment.yaml").read_text())
    version = deployment["spec"]["flinkVersion"].removeprefix("v").replace("_", ".")
    image = (FLINK / "Dockerfile").read_text()
    assert f"FROM flink:{version}." in image and f"-{version}.jar" in image
    assert deployment["spec"]["image"].startswith(f"tidegate-flink:{version}.")


@pytest.mark.parametrize("script", [SCRIPT, flink_sql(file_tables("in", "out"), "it's")], ids=["kafka", "files"])
def test_every_rule_stands_in_the_script(script: str):
    for outcome in OUTCOMES:
        assert f"THEN '{outcome}'" in script or f"ELSE '{outcome}'" in script
    for flag in BY_FLAG:
        assert f"LIKE '%,{flag},%'" in script
    for text in (*LEVELS, ROUTE.pattern, OWN_ROUTE.pattern, CLUSTER.pattern):
        assert text in script
    assert "INTERVAL '65' SECOND" in script and "INTERVAL '10' SECOND" in script


def test_no_statement_has_a_semicolon_inside():
    statements = SCRIPT.split(";\n")
    assert all(";" not in statement for statement in statements)
    assert [statement.split()[0] for statement in statements[:-1]] == ["SET"] * 2 + ["CREATE"] * 6 + ["INSERT"]


def test_the_table_of_rows_has_the_columns_of_a_document():
    (platform, *_) = by_engine([line(BEGIN)])
    assert list(ROW_TYPES) == list(row_document(platform))
    assert f"'{SOURCE}' AS `source`" in SCRIPT
