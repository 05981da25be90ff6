"""Lines into rows: sums, order, late lines, and lines that are no lines."""

import re
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.engine import Engine, moment_of
from collectors.access_log.identity import OTHER, KnownRoutes
from collectors.access_log.outcomes import OUTCOMES, TIMED, outcome_of
from collectors.access_log.rows import LEVELS, WINDOW, RowKey, RowPlace, StatsRow, total, unique
from collectors.access_log.windows import LATENESS, OFFLINE, Bounds
from collectors.request_statistics.row_query import without_arms
from collectors.request_statistics.series import RowSeries, in_steps
from istio_templates.documents.arms.traffic_match import MOST_MATCHES
from tests.collectors.access_log.lines import BEGIN, LIMITED, at_level, line

DOCS = Path(__file__).parents[3] / "docs" / "access-log.md"
MODEL = RowPlace("model", "", "search", "ranker")
requests = st.builds(
    lambda second, tenant, model, version, arm, kind, duration: line(
        BEGIN + second / 10,
        tenant,
        model,
        route=f"{tenant}.{model}.0{arm}",
        cluster=f"outbound|8080|{version}|x.y.svc.cluster.local",
        **{**kind, "duration_us": duration},
    ),
    second=st.integers(0, 600),
    tenant=st.sampled_from(["search", "ads"]),
    model=st.sampled_from(["ranker", "chat"]),
    version=st.sampled_from(["v1", "v2"]),
    arm=st.sampled_from(["", "", "~sticky", ".testers", ".beta", ".gamma"]),
    kind=st.sampled_from([{}, LIMITED, {"status": 500}, {"status": 0, "flags": "DC", "details": "downstream"}]),
    duration=st.integers(0, 10_000_000),
)


def rows_of(
    lines: list[bytes], source: str = "gw-0", batch: int = 7, known: KnownRoutes | None = None
) -> list[StatsRow]:
    """Return the rows of a source that is read in batches, until its end."""
    engine = Engine(known)
    rows = [row for at in range(0, len(lines), batch) for row in engine.feed(source, lines[at : at + batch])]
    return latest([*rows, *engine.end(source)])


def latest(rows: list[StatsRow]) -> list[StatsRow]:
    """Return the last revision of each row, in order and with no revision."""
    return sorted((replace(row, revision=0) for row in unique(rows)), key=lambda row: row.key)


def moment(text: bytes) -> str:
    return str(orjson.loads(text)["time"])


@given(st.lists(requests, min_size=1, max_size=60))
def test_every_level_sums_up_to_the_lines(lines: list[bytes]):
    for level in LEVELS:
        rows = [row for row in rows_of(lines) if row.key.place.level == level]
        assert sum(row.requests for row in rows) == len(lines)
        assert sum(row.bytes_out for row in rows) == 100 * len(lines)
        timed = sum(row.count("ok", "serverError") for row in rows)
        assert sum(sum(row.latency.values()) for row in rows) == timed


def armless(text: bytes) -> bytes:
    """Return a line as it would be without any match."""
    record = orjson.loads(text)
    return orjson.dumps({**record, "route": f"{record['route'].rpartition('.0')[0]}.0"})


@given(st.lists(requests, min_size=1, max_size=60))
def test_sums_over_arms_are_the_figures_without_arms(lines: list[bytes]):
    rows = rows_of(lines)
    assert in_steps(without_arms(rows), 10) == in_steps(rows_of([armless(text) for text in lines]), 10)
    arms = {row.key.place.arm for row in rows if row.key.place.level == "version"}
    assert arms == {re.fullmatch(r".*\.0(?:~sticky)?\.?(.*)", orjson.loads(text)["route"])[1] for text in lines}
    assert {row.key.place.arm for row in rows if row.key.place.level != "version"} == {""}


@given(st.lists(requests, min_size=1, max_size=60))
def test_an_arm_that_no_document_names_counts_under_the_weights(lines: list[bytes]):
    known = KnownRoutes({"search": "search", "ads": "ads"}, {}, {("search", "ranker"): frozenset({"testers"})})
    rows = rows_of(lines, known=known)
    arms = {row.key.place[2:4] for row in rows if row.key.place.arm}
    assert arms <= {("search", "ranker")} and {row.key.place.arm for row in rows} <= {"", "testers"}
    assert in_steps(without_arms(rows), 10) == in_steps(without_arms(rows_of(lines)), 10)


def test_arms_of_a_model_are_bounded_and_those_beyond_count_under_the_weights():
    engine = Engine(bounds=Bounds(arms=2))
    engine.feed("gw-0", [line(BEGIN, route=f"search.ranker.0.arm-{number}") for number in (0, 1, 2, 3, 1)])
    rows = [row for row in engine.end("gw-0") if row.key.place.level == "version"]
    assert {row.key.place.arm: row.requests for row in rows} == {"arm-0": 1, "arm-1": 2, "": 2}
    assert Bounds().arms == MOST_MATCHES


@given(st.lists(requests, min_size=1, max_size=60), st.data())
def test_any_order_within_the_lateness_gives_the_same_rows(lines: list[bytes], data: st.DataObject):
    by_time = sorted(lines, key=moment)
    shifts = data.draw(st.lists(st.floats(0, LATENESS.open - 0.1), min_size=len(lines), max_size=len(lines)))
    moments = {id(text): orjson.loads(text)["time"] for text in by_time}

    def arrival(pair: tuple[bytes, float]) -> float:
        return moment_of(moments[id(pair[0])]) + pair[1]

    mixed = [text for text, _ in sorted(zip(by_time, shifts, strict=True), key=arrival)]
    batch = data.draw(st.integers(1, 20))
    engine = Engine()
    rows = [row for at in range(0, len(mixed), batch) for row in engine.feed("gw-0", mixed[at : at + batch])]
    rows += engine.end("gw-0")
    assert {row.revision for row in rows} <= {0}, "nothing was late"
    assert latest(rows) == rows_of(by_time)


@given(st.lists(st.tuples(st.sampled_from(["gw-0", "gw-1", "gw-2"]), requests), max_size=60))
def test_the_rows_of_two_collectors_are_those_of_one(pairs: list[tuple[str, bytes]]):
    by_source: dict[str, list[bytes]] = {}
    for source, text in pairs:
        by_source.setdefault(source, []).append(text)
    one = Engine()
    of_one = [row for source, lines in by_source.items() for row in one.feed(source, lines)]
    of_one += [row for source in by_source for row in one.end(source)]
    of_two = [row for source, lines in by_source.items() for row in rows_of(lines, source)]
    assert latest(of_one) == latest(of_two)
    twice = [*of_two, *rows_of(by_source.get("gw-0", []))]
    assert latest(twice) == latest(of_two), "a pod that two have read counts once"


@given(st.lists(requests, min_size=2, max_size=40))
def test_levels_are_sums_of_finer_ones(lines: list[bytes]):
    rows = rows_of(lines)
    by_level = {level: [row for row in rows if row.key.place.level == level] for level in LEVELS}
    for coarse, fine in (("platform", "tenant"), ("tenant", "model"), ("model", "version")):
        for row in by_level[coarse]:
            place = row.key.place
            parts = [
                other
                for other in by_level[fine]
                if other.key.start == row.key.start
                and (place.tenant or other.key.place.tenant) == other.key.place.tenant
                and (place.model or other.key.place.model) == other.key.place.model
            ]
            assert total(row.key, parts) == row


def test_a_late_line_reopens_its_window_and_one_too_late_is_counted():
    engine = Engine()
    rows = engine.feed("gw-0", [line(BEGIN), line(BEGIN + WINDOW + LATENESS.open)])
    assert [(row.key.start, row.revision, row.requests) for row in rows if row.key.place == MODEL] == [(BEGIN, 0, 1)]
    rows = engine.feed("gw-0", [line(BEGIN + 1)])
    assert [(row.key.start, row.revision, row.requests) for row in rows if row.key.place == MODEL] == [(BEGIN, 1, 2)]
    assert engine.counts.late == 1
    engine.feed("gw-0", [line(BEGIN + WINDOW + LATENESS.open + LATENESS.late)])
    assert engine.feed("gw-0", [line(BEGIN + 2)]) == []
    assert (engine.counts.too_late, engine.counts.counted, engine.counts.read) == (1, 4, 5)


def test_a_source_that_says_nothing_closes_its_windows_by_the_clock_and_its_clock_is_its_own():
    engine = Engine()
    assert engine.feed("gw-0", [line(BEGIN + 1)], now=BEGIN + 1) == []
    engine.feed("gw-1", [line(BEGIN + 50)], now=BEGIN + 1)
    assert engine.feed("gw-0", [line(BEGIN + 2)], now=BEGIN + 2) == [], "another pod's clock closes nothing"
    rows = engine.rest("gw-0", BEGIN + WINDOW + LATENESS.open)
    assert {row.key.source for row in rows} == {"gw-0"} and {row.requests for row in rows} == {2}


def test_a_clock_an_hour_ahead_or_behind_disturbs_nobody():
    engine = Engine()
    engine.feed("gw-0", [line(BEGIN)], now=BEGIN)
    assert engine.feed("gw-0", [line(BEGIN + 3600)], now=BEGIN) == []
    engine.feed("gw-0", [line(BEGIN + 1), line(BEGIN + 100)], now=BEGIN + 100)
    assert engine.feed("gw-0", [line(BEGIN - 3600)], now=BEGIN + 100) == []
    found = engine.counts
    assert (found.ahead, found.too_late, found.counted) == (1, 1, 3)


ODD = {
    "cut": (line(BEGIN)[:-20], "unparsable"),
    "no object": (b"[1, 2]", "foreign"),
    "text of Envoy": (b"[2026-11-29 16:00:00.000][1][warning][main] something", "foreign"),
    "empty": (b"", "foreign"),
    "the mesh's own log": (b'{"authority":"a","start_time":"2026-11-29T16:00:00.000Z","response_code":200}', "foreign"),
    "a schema that is no text": (line(BEGIN, schema=1), "unparsable"),
    "another schema": (line(BEGIN, schema="gw/2"), "unknown"),
    "another schema with other fields": (b'{"schema":"gw/2","time":1}', "unknown"),
    "a duration of ages": (line(BEGIN).replace(b'"duration_us":20000', b'"duration_us":1' + b"0" * 320), "unparsable"),
    "more bytes than there are": (line(BEGIN, bytes_in=2**54), "unparsable"),
    "a name without end": (line(BEGIN, details="x" * 5000), "unparsable"),
    "a field is missing": (orjson.dumps({"schema": "gw/1"}), "unparsable"),
    "bytes as text": (line(BEGIN, bytes_in="10"), "unparsable"),
    "bytes absent": (line(BEGIN, bytes_out=None), "unparsable"),
    "status as text": (line(BEGIN, status="200"), "unparsable"),
    "a list for a route": (line(BEGIN, route=["a"]), "unparsable"),
    "flags as a number": (line(BEGIN, details="x", flags=7), "unparsable"),
    "gateway absent": (line(BEGIN, gateway=None), "unparsable"),
    "no moment": (line(BEGIN, time=None), "unparsable"),
    "half a moment": (line(BEGIN, time="2025-11-29T1"), "unparsable"),
    "a moment elsewhere": (line(BEGIN, time="2025-11-29T15:26:40.000+02:00"), "unparsable"),
    "duration as text": (line(BEGIN, duration_us="fast"), "unparsable"),
    "no duration": (line(BEGIN, duration_us=None, duration_ms=None), "unparsable"),
    "not UTF-8": (line(BEGIN, gateway="x").replace(b'"x"', b'"\xff"'), "unparsable"),
    "bytes below none": (line(BEGIN, bytes_in=-1), "unparsable"),
    "a fraction of a byte": (line(BEGIN, bytes_in=1.5), "unparsable"),
    "too deep": (b'{"a":' * 2000, "unparsable"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_line_is_counted_shown_and_changes_nothing(case: str):
    text, why = ODD[case]
    engine = Engine()
    engine.feed("gw-0", [line(BEGIN), text, line(BEGIN + 1)])
    rows = [row for row in engine.end("gw-0") if row.key.place.level == "platform"]
    assert [(row.requests, row.bytes_in) for row in rows] == [(2, 20)]
    assert getattr(engine.counts, why) == 1 and engine.counts.counted == 2
    assert len(engine.counts.samples[why][0]) <= 800


def test_a_moment_that_is_odd_behind_its_tens_of_seconds_counts_in_its_window():
    engine = Engine()
    text = line(BEGIN)
    rows = engine.feed("gw-0", [text, text.replace(b":40.000Z", b":4zzzzzZ"), line(BEGIN + 1)])
    rows += engine.end("gw-0")
    assert sum(row.requests for row in rows if row.key.place == MODEL) == 3


def test_a_pod_whose_clock_is_behind_goes_on_after_a_pause():
    engine = Engine()
    rows = engine.feed("gw-0", [line(BEGIN)], now=BEGIN + 100)
    for pause in (50, 100, 150):
        rows += engine.rest("gw-0", BEGIN + 100 + pause)
        rows += engine.feed("gw-0", [line(BEGIN + pause), line(BEGIN + pause)], now=BEGIN + 100 + pause)
    rows += engine.end("gw-0")
    assert sum(row.requests for row in unique(rows) if row.key.place == MODEL) == 7
    assert engine.counts.dropped == 0


def test_a_line_that_is_ahead_closes_nothing():
    engine = Engine()
    engine.feed("gw-0", [line(BEGIN), line(BEGIN + 55)], now=BEGIN + 1)
    engine.feed("gw-0", [line(BEGIN + 2)], now=BEGIN + 2)
    assert engine.counts.dropped == engine.counts.late == 0


@pytest.mark.parametrize("batch", [1, 50, 200])
def test_logs_that_are_read_at_once_give_the_same_whatever_the_batch(batch: int):
    lines = [line(BEGIN + second) for second in range(100)]
    lines.insert(3, line(BEGIN + 3000))
    engine = Engine(lateness=OFFLINE)
    rows = [row for at in range(0, len(lines), batch) for row in engine.feed("log", lines[at : at + batch])]
    rows += engine.end("log")
    assert sum(row.requests for row in rows if row.key.place == MODEL) == 101 == engine.counts.counted
    assert {row.revision for row in rows} == {0}


def test_many_odd_lines_leave_few_samples():
    engine = Engine()
    engine.feed("gw-0", [b"{" + str(number).encode() for number in range(1000)])
    assert engine.counts.unparsable == 1000 and len(engine.counts.samples["unparsable"]) == 5


def test_what_is_beyond_a_cap_counts_under_one_name():
    engine = Engine(bounds=Bounds(tenants=2, models=3, versions=100))
    lines = [line(BEGIN, f"t{tenant}", f"m{model}") for tenant in range(4) for model in range(3)]
    engine.feed("gw-0", lines)
    rows = engine.end("gw-0")
    places = {row.key.place: row.requests for row in rows if row.key.place.level in ("tenant", "model")}
    assert places[RowPlace("tenant", "", OTHER)] == 6 and places[RowPlace("model", "", "t1", OTHER)] == 3
    for level in LEVELS:
        assert sum(row.requests for row in rows if row.key.place.level == level) == len(lines), level


def test_gateways_are_bounded_and_what_has_no_version_gets_none_by_a_cap():
    engine = Engine(bounds=Bounds(gateways=2, versions=1))
    closed = {"status": 503, "details": "direct_response", "cluster": None}
    engine.feed("gw-0", [line(BEGIN, gateway=f"g{number}", **closed) for number in range(5)])
    rows = engine.end("gw-0")
    assert {row.key.place.gateway for row in rows if row.key.place.level == "gateway"} == {"g0", "g1", OTHER}
    assert [row for row in rows if row.key.place.level == "version"] == []


KNOWN = KnownRoutes(
    tenants={"search": "search", "ads-space": "ads"}, attached={"/apis/x/virtual-service/theirs": ("ads", "old")}
)
NAMED = "/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}"


@pytest.mark.parametrize(
    ("route", "config", "place"),
    [
        ("search.ranker.0", NAMED.format("search", "ranker"), ("search", "ranker")),
        ("ads.ranker.11", NAMED.format("ads-space", "ranker"), ("ads", "ranker")),
        ("anything", "/apis/x/virtual-service/theirs", ("ads", "old")),
        ("search.ranker.0", NAMED.format("ads-space", "ranker"), ()),
        ("search.ranker.0", NAMED.format("nobody", "ranker"), ()),
        ("search.ranker.0", NAMED.format("search", "other"), ()),
        ("search.ranker.0", NAMED.format("search", "x~istio-autogenerated-k8s-gateway~y"), ()),
        ("search.ranker", NAMED.format("search", "ranker"), ()),
        ("search.ranker.0.testers", NAMED.format("search", "ranker"), ("search", "ranker")),
        ("search.ranker.0~sticky", NAMED.format("search", "ranker"), ("search", "ranker")),
        ("search.ranker.0.a.b", NAMED.format("search", "ranker"), ()),
        ("search.ranker.0~other", NAMED.format("search", "ranker"), ()),
        (None, None, ()),
    ],
)
def test_whose_a_request_is_stands_in_rendered_names_only(route, config, place):
    engine = Engine()
    engine.know(KNOWN)
    engine.feed("gw-0", [line(BEGIN, route=route, route_config=config)])
    found = [tuple(row.key.place[2:4]) for row in engine.end("gw-0") if row.key.place.level == "model"]
    assert found == ([place] if place else [])


def test_what_becomes_known_counts_from_then_on():
    engine = Engine(KnownRoutes({}, {}))
    engine.feed("gw-0", [line(BEGIN)])
    engine.know(KNOWN)
    engine.feed("gw-0", [line(BEGIN)])
    rows = engine.end("gw-0")
    assert [row.requests for row in rows if row.key.place == MODEL] == [1]
    assert [row.requests for row in rows if row.key.place.level == "platform"] == [2]


def test_a_row_says_its_demand():
    engine = Engine()
    engine.feed("gw-0", [line(BEGIN), line(BEGIN, **LIMITED), line(BEGIN, **LIMITED)])
    (row,) = [row for row in engine.end("gw-0") if row.key == RowKey(MODEL, BEGIN, "gw-0")]
    assert (row.count("ok"), row.count("limited"), row.requests) == (1, 2, 3)
    assert len(row.counts) == len(OUTCOMES)


def test_every_outcome_stands_in_the_contract():
    table = DOCS.read_text().partition("## Outcomes")[2].partition("## Traps")[0]
    assert sorted(re.findall(r"^\| `([a-zA-Z]+)` \|", table, re.MULTILINE)) == sorted(OUTCOMES)


@pytest.mark.parametrize(
    ("status", "flags", "details", "outcome"),
    [
        (403, "-", "rbac_access_denied_matched_policy[none]", "rejected"),
        (401, "-", "jwt_authn_access_denied{Jwt_is_missing}", "rejected"),
        (403, "UAEX", "ext_authz_denied", "rejected"),
        (400, "DPE", "http1.invalid_characters", "rejected"),
        (503, "NC", "cluster_not_found", "gatewayError"),
        (503, "-", "overload", "gatewayError"),
        (504, "UMSDR", "max_duration_timeout", "timeout"),
        (200, "DC", "via_upstream", "clientGone"),
        (200, "UPE", "via_upstream", "ok"),
        (503, "URX", "via_upstream", "serverError"),
        (503, "UF,URX", "upstream_reset_before_response_started{connection_failure}", "upstreamFailure"),
        (408, "-", "request_overall_timeout", "rejected"),
        (429, "RL", "request_rate_limited", "rejected"),
    ],
)
def test_what_the_gateway_answers_itself_is_no_answer_of_the_model(status, flags, details, outcome):
    assert outcome_of(status, flags, details, None) == outcome
    assert (outcome in TIMED) is (outcome in ("ok", "serverError", "timeout"))


def test_a_source_that_is_read_again_makes_the_same_rows_and_counts_nothing_twice():
    """A stream that broke, or a pod that another collector has read: the log comes again from its beginning."""
    log = [line(BEGIN + second) for second in range(100)]
    engine, series = Engine(), RowSeries()
    engine.begin("gw-0", engine.wanted("gw-0", BEGIN + 3))
    series.put(engine.feed("gw-0", log[:50]))
    wanted = engine.wanted("gw-0", BEGIN + 1000)
    assert wanted == BEGIN, "windows that take late lines are made again"
    engine.begin("gw-0", wanted)
    for at in range(0, 100, 9):
        series.put(engine.feed("gw-0", log[at : at + 9]))
    series.put(engine.end("gw-0"))
    assert sum(row.requests for row in series.rows(at_level("model"), 0, 2**40)) == 100


def test_a_source_that_was_idle_is_not_read_from_its_beginning_again():
    engine = Engine()
    engine.begin("gw-0", BEGIN)
    engine.feed("gw-0", [line(BEGIN + second) for second in range(100)], now=BEGIN + 100)
    engine.rest("gw-0", BEGIN + 1000)
    wanted = engine.wanted("gw-0", BEGIN)
    assert BEGIN + 1000 - LATENESS.open - LATENESS.late - 2 * WINDOW <= wanted <= BEGIN + 1000 - LATENESS.late
    engine.begin("gw-0", wanted)
    engine.feed("gw-0", [line(BEGIN + 50), line(wanted), line(BEGIN + 1000)], now=BEGIN + 1000)
    assert (engine.counts.repeated, engine.counts.dropped) == (1, 0)


def test_what_lies_before_the_floor_was_counted_before():
    engine = Engine()
    engine.begin("gw-0", engine.wanted("gw-0", BEGIN + 25))
    rows = engine.feed("gw-0", [line(BEGIN + second) for second in (5, 15, 25, 35)])
    assert sum(row.requests for row in [*rows, *engine.end("gw-0")] if row.key.place == MODEL) == 2
    assert (engine.counts.repeated, engine.counts.counted, engine.counts.dropped) == (2, 2, 0)
