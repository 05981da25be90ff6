"""The commands behind `tidegate collect`: their help, what they reject, and files that are read as before."""

from pathlib import Path

import pytest

from tests.collectors.access_log.lines import BEGIN, line
from tests.support.command import run_command

WIDE = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["kafka"], ["BROKERS", "--topic", "--rows-topic", "--group", "--late", "--kafka-config", "lost or counted"]),
        (["remote-write"], ["BROKERS", "--topic", "--tenant-label", "--kafka-config", "/api/v1/write", "503"]),
        ([], ["FILE...", "--pods", "tidegate collect kafka", "tidegate collect remote-write"]),
    ],
)
async def test_each_command_explains_itself(words, named):
    code, out, _ = await run_command("collect", *words, "--help", environment=WIDE)
    assert code == 0
    assert [name for name in named if name not in out] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kafka", "127.0.0.1:1"], "Missing option '--topic'"),
        (
            ["kafka", "127.0.0.1:1", "--topic", "lines", "--late", "an hour"],
            "--late 'an hour' is no time; write 60s or 5m",
        ),
        (["kafka", "127.0.0.1:1", "--topic", "lines", "--late", "1h"], "--late 1h is not between 0s and 15m"),
        (["remote-write", "127.0.0.1:1", "--topic", "a/{pod}"], "is no name of a topic"),
        (["remote-write", "127.0.0.1:1", "--kafka-config", "/absent"], "cannot be read"),
    ],
)
async def test_what_cannot_be_run_is_rejected(words, said):
    code, _, error = await run_command("collect", *words, environment=WIDE)
    assert code != 0
    assert said in error


async def test_a_file_that_is_named_like_a_command_is_given_with_its_folder(tmp_path: Path):
    file = tmp_path / "kafka"
    file.write_bytes(line(BEGIN) + b"\n")
    code, _, error = await run_command("collect", str(file), environment=WIDE)
    assert (code, error) == (0, "1 of 1 lines counted\n")
