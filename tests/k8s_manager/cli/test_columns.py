"""Tables that people read: ages as kubectl writes them, and lines that fit a terminal."""

import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.cli import columns, output
from k8s_manager.cli.statistics_commands.table_figures import TableFigures

AGES = {0: "0s", 119: "119s", 120: "2m", 200: "3m20s", 700: "11m", 3 * 3600 - 1: "179m", 3 * 3600: "3h",
        7 * 3600 + 300: "7h5m", 30 * 3600: "30h", 50 * 3600: "2d2h", 9 * 86_400: "9d", 800 * 86_400: "2y70d"}  # fmt: skip
MODEL = {
    "kind": "Model",
    "metadata": {"name": "ranker-with-a-long-name", "namespace": "search", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {},
    "status": {
        "url": "http://search.models.example.com:8080/v2/models/ranker",
        "versions": [{"name": "v1", "desired": 2, "ready": 2}, {"name": "canary", "desired": 1, "ready": 0}],
        "limit": {"total": 40, "perGateway": {"rate": 20}, "gateways": 2, "enforcedPercent": 0,
                  "observed": {"refused": 12, "requests": 960, "over": "hour"}},
        "conditions": [],
    },
}  # fmt: skip


@pytest.mark.parametrize("seconds", AGES)
def test_an_age_is_written_as_kubectl_does(seconds: int):
    assert columns.duration(timedelta(seconds=seconds)) == AGES[seconds]


@pytest.mark.parametrize("created", ["", None, "soon", "2026-01-01"])
def test_an_age_that_is_not_known_is_a_dash(created):
    assert columns.age(created, datetime(2026, 1, 1, tzinfo=UTC)) == "-"


widths = st.dictionaries(st.sampled_from(["NAME", "URL", "HOSTS", "STATE", "AGE"]), st.integers(3, 60), min_size=1)


@given(widths, st.integers(1, 200))
def test_columns_are_dropped_only_where_the_line_is_too_long_and_needed_ones_never(found: dict[str, int], width: int):
    shown = columns.fitting(found, ["URL", "HOSTS"], width)
    total = sum(found.values()) + columns.GAP * (len(found) - 1)
    assert set(found) - {"URL", "HOSTS"} <= set(shown)
    assert (shown == list(found)) == (total <= width or not {"URL", "HOSTS"} & set(found))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_fits_the_terminal_and_wide_shows_all(width: int, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    output.table("model", [MODEL])
    lines = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out).splitlines()
    assert lines[1].split()[-2:] == ["Unknown", columns.age("2026-01-01T00:00:00Z", datetime.now(UTC))]
    assert len(lines) == 2 and max(map(len, lines)) <= width
    output.table("model", [MODEL], wide=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and MODEL["status"]["url"] in lines[1] and "20/s x 2" in lines[1]


def test_what_goes_into_a_pipe_is_not_cut_and_tells_the_refused(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    rollout = {
        "versions": [{"name": "v1", "updated": 2}, {"name": "canary", "updated": 0}, {"name": "old", "ready": 1}]
    }
    output.table("model", [MODEL], figures=TableFigures({("search", "ranker-with-a-long-name"): rollout}))
    head, line = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "NAME" and "1.25 % in hour" in line and "v1 2, canary 0" in line
    output.table("model", [])
    assert capsys.readouterr().out.split()[:2] == ["NAME", "NAMESPACE"]


@pytest.mark.parametrize(
    "limit, counts, shown",
    [
        ({}, None, "-"),
        ({"observed": {}}, {"demand": 0, "limited": 0}, "-"),
        ({}, {"demand": 800, "limited": 100}, "12.5 % in 1m"),
        ({}, {"demand": 800, "limited": 0}, "0 % in 1m"),
        ({"observed": {"refused": 1, "requests": 4, "over": "minute"}}, {"demand": 8, "limited": 8}, "25 % in minute"),
    ],
)
def test_what_is_refused_is_shown_in_every_mode(limit, counts, shown):
    assert columns.refused(limit, counts) == shown


def test_a_difference_has_colours_on_a_terminal_only(monkeypatch):
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z\n"
    assert output.coloured(diff) == diff
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m+y" in output.coloured(diff) and "\x1b[31m-x" in output.coloured(diff)
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.coloured(diff) == diff
