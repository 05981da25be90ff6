"""`tidegate collect shipper` prints what the examples show, and rejects what would be no configuration."""

import sys

import pytest

from k8s_manager.cli.main import main
from tests.support.pages import ROOT

TARGETS = {
    "kafka": ["--kafka", "kafka-0.kafka:9092,kafka-1.kafka:9092"],
    "search": ["--search", "http://search.logging:9200"],
}
ENDINGS = {"fluent-bit": "yaml", "otel-collector": "yaml", "filebeat": "yaml", "rsyslog": "conf"}


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tidegate", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", ENDINGS)
def test_the_examples_are_what_the_command_prints(monkeypatch, capsys, name: str, kind: str) -> None:
    words = ("collect", "shipper", name, *TARGETS[kind], "--model-namespace", "search")
    code, out, error = run(monkeypatch, capsys, *words)
    assert (code, error) == (0, "")
    assert out == (ROOT / "manifests" / "logging" / f"{name}-{kind}.{ENDINGS[name]}").read_text()


def test_a_hostile_broker_is_refused_and_nothing_is_printed(monkeypatch, capsys) -> None:
    words = ("collect", "shipper", "rsyslog", "--kafka", 'a:9092"] action(type="omprog")')
    code, out, error = run(monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert "is no broker; give HOST:PORT" in error


def test_a_file_may_still_be_called_shipper(monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / "shipper").write_text("")
    monkeypatch.chdir(tmp_path)
    code, _, error = run(monkeypatch, capsys, "collect", "./shipper")
    assert (code, error) == (0, "0 of 0 lines counted\n")
