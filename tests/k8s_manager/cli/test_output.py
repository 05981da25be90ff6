"""What the command line prints for programs is read back by kubectl as it was."""

import pytest
import yaml

from k8s_manager.cli.output import Format, show


@pytest.mark.parametrize("text", ["1e3", "25921e05", "y", "08", "0o17", "+.5"])
def test_a_text_that_go_takes_for_another_is_quoted(text: str, capsys: pytest.CaptureFixture[str]):
    show({"items": [{"name": text, text: True}]}, Format.YAML)
    assert capsys.readouterr().out == f"items:\n- name: '{text}'\n  '{text}': true\n"


@pytest.mark.parametrize("value", [[], {}, {"items": []}, [{"limit": 0.5, "note": "a " * 100}], "text", None])
def test_whatever_is_shown_is_read_back(value: object, capsys: pytest.CaptureFixture[str]):
    show(value, Format.YAML)
    assert yaml.safe_load(capsys.readouterr().out) == value
