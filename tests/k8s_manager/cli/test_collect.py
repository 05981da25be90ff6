"""`tidegate collect`: access logs in files, summed up for people and programs."""

import json

import pytest

from collectors.access_log.sql.flink_sql import kafka_script
from tests.collectors.access_log.lines import BEGIN, LIMITED, line
from tests.support.command import run_command

LOG = b"\n".join(
    [
        *(line(BEGIN + second, "search", "ranker") for second in range(120)),
        *(line(BEGIN + second, "ads", "chat", **LIMITED) for second in range(0, 120, 10)),
        b"[warning] words of Envoy",
        line(BEGIN)[:40],
    ]
)


@pytest.fixture
def log(tmp_path) -> str:
    file = tmp_path / "gateway-0.log"
    file.write_bytes(LOG)
    return str(file)


async def collected(*words: str, stdin: str = "") -> dict:
    code, out, _ = await run_command("collect", *words, "-o", "json", environment={}, stdin=stdin)
    assert code == 0
    return json.loads(out)


async def test_people_see_a_line_for_each_model_and_what_was_not_used(log):
    code, out, error = await run_command("collect", log, environment={})
    assert code == 0
    ads, search = [text.split() for text in out.splitlines()[1:]]
    assert ads[1:5] == ["ads/chat", "12", "100.0", "%"]
    assert search[1:5] == ["search/ranker", "120", "0.0", "%"]
    assert "132 of 134 lines counted" in error
    assert "1 no line of an access log, such as: [warning] words of Envoy" in error
    assert "1 cut, or with a value of another kind" in error


async def test_programs_get_the_same_from_a_file_and_from_stdin(log):
    whole = await collected(log)
    assert await collected("-", stdin=LOG.decode()) == whole
    assert [(item["tenant"], item["demand"], item["limited"]) for item in whole["items"]] == [
        ("ads", 12, 12),
        ("search", 120, 0),
    ]
    assert whole["lines"]["read"] == 134 and whole["lines"]["unparsable"] == 1


async def test_steps_levels_and_names_select(log):
    minutes = await collected(log, "--step", "1m", "--tenant", "search", "--level", "version")
    assert sum(item["admitted"] for item in minutes["items"]) == 120 and len(minutes["items"]) == 3
    assert {item["version"] for item in minutes["items"]} == {"v1"} and minutes["step"] == 60
    (everything,) = (await collected(log, "--level", "platform"))["items"]
    assert everything["demand"] == 132 and "tenant" not in everything


async def test_arms_are_told_apart_by_their_level(tmp_path):
    file = tmp_path / "matched.log"
    routes = ["search.ranker.0", "search.ranker.0~sticky", "search.ranker.0.testers"]
    file.write_bytes(b"\n".join(line(BEGIN, route=route) for route in routes))
    found = (await collected(str(file), "--level", "arm", "--tenant", "search", "--model", "ranker"))["items"]
    assert [(item["version"], item["arm"], item["demand"]) for item in found] == [
        ("v1", "weights", 2),
        ("v1", "testers", 1),
    ]
    (together,) = (await collected(str(file), "--level", "version"))["items"]
    assert together["demand"] == 3 and "arm" not in together
    _, out, _ = await run_command("collect", str(file), "--level", "arm", environment={})
    assert [text.split()[1] for text in out.splitlines()[1:]] == [
        "search/ranker/v1/weights",
        "search/ranker/v1/testers",
    ]


async def test_several_pods_count_together_and_one_file_counts_once(log, tmp_path):
    other = tmp_path / "gateway-1.log"
    other.write_bytes(LOG)
    assert (await collected(log, str(other), "--level", "platform"))["items"][0]["demand"] == 264
    assert (await collected(log, log, "--level", "platform"))["items"][0]["demand"] == 132


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.log"], "absent.log:\n  cannot be read (No such file or directory)"),
        (["."], "cannot be read (Is a directory)"),
        (["-", "--step", "1ms"], "--step 1ms is no multiple of 10 s"),
        (["-", "--step", "often"], "--step 'often' is no time"),
        (["-", "--step", "15s"], "--step 15s is no multiple of 10 s"),
        (["-", "--level", "pod"], "'pod' is not one of"),
        (["-", "--level", "gateway", "--tenant", "a"], "--tenant needs --level tenant, model, version or arm"),
        (["-", "--level", "tenant", "--model", "a"], "--model needs --level model, version or arm"),
        ([], "give files to read, - for stdin, or --pods"),
        (["a.log", "--pods"], "give files to read, - for stdin, or --pods"),
        (["--pods", "--listen", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["a.log", "--share", "x", "--sink", "parquet:/x"], "--share, --sink: only with --pods"),
        (["--pods", "--step", "1m"], "--step: only for files"),
        (
            ["--pods", "--sink", "kafka://a:1/b", "--sink", "http://c:1", "--sink-credentials", "f"],
            "several sinks take credentials; write ADDRESS=FILE",
        ),
    ],
)
async def test_bad_input_is_a_sentence(words: list[str], said: str):
    code, _, error = await run_command("collect", *words, environment={})
    assert code == 2 and said in error and "Traceback" not in error


async def test_an_empty_log_says_so():
    code, out, error = await run_command("collect", "-", environment={})
    assert code == 0 and "0 of 0 lines counted" in error and len(out.splitlines()) == 1


async def test_what_a_line_says_is_shown_as_it_is_and_changes_no_terminal(tmp_path):
    file = tmp_path / "odd.log"
    file.write_bytes(line(BEGIN, gateway="[/a]") + b"\n\x1b]0;title\x07 words\n")
    code, out, error = await run_command("collect", str(file), "--level", "gateway", environment={})
    assert code == 0 and "[/a]" in out
    assert "\x1b]" not in error and "?]0;title? words" in error


async def test_the_same_counting_is_printed_as_flink_sql(log):
    code, out, _ = await run_command("collect", "flink-sql", "broker.example:9092", environment={})
    assert code == 0 and out == kafka_script("broker.example:9092")
    code, out, error = await run_command("collect", "flink-sql", "a broker", environment={})
    assert code != 0 and out == "" and "a broker" in error
