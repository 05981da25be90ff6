"""What a manager remembers of its audit trail: which lines are found, how many are kept, and what is said of the rest."""

from datetime import UTC, datetime
from typing import Any

import pytest

from istio_templates.errors import Invalid
from k8s_manager.api.audit_memory import (
    MOST_BYTES,
    MOST_LINES,
    MOST_REFUSED,
    AuditMemory,
    AuditQuery,
    document_in,
)
from k8s_manager.runtime.clock import SystemClock

BEGIN = 1_700_000_000.0
ALL = AuditQuery()
RANKER = "/v1/tenants/search/models/ranker"


class HandClock(SystemClock):
    def utc(self) -> datetime:
        return datetime.fromtimestamp(BEGIN, UTC)


def line(second: float = 0, user: str | None = "anna", outcome: str = "done", path: str = RANKER, **more: Any) -> dict:
    time = datetime.fromtimestamp(BEGIN + second, UTC).isoformat(timespec="milliseconds")
    return {"time": time, "user": user, "source": "oidc" if user else None, "path": path, "outcome": outcome, **more}


def memory(*lines: dict, has_peers: bool = False) -> AuditMemory:
    made = AuditMemory(HandClock(), "tidegate-0", has_peers)
    for one in lines:
        made.keep(one, 300)
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (ALL, True),
        (AuditQuery(by="ANN"), True),
        (AuditQuery(by="oidc:anna"), True),
        (AuditQuery(by="token:"), False),
        (AuditQuery(about="search/ranker"), True),
        (AuditQuery(about="models/rank"), True),
        (AuditQuery(about="ads"), False),
        (AuditQuery(outcome="done"), True),
        (AuditQuery(outcome="refused"), False),
        (AuditQuery(start=BEGIN + 10), True),
        (AuditQuery(start=BEGIN + 10.001), False),
        (AuditQuery(end=BEGIN + 10), False),
        (AuditQuery(end=BEGIN + 10.001), True),
    ],
    ids=str,
)
def test_a_line_is_found_by_who_what_when_and_how_it_ended(query: AuditQuery, found: bool):
    assert (len(memory(line(10)).page(query, 10, None).lines) == 1) is found


@pytest.mark.parametrize(
    ("given", "document"),
    [
        ({"object": "Model search/ranker", "path": "/v1/x"}, "search/ranker"),
        ({"object": "Tenant ads", "path": "/v1/x"}, "ads"),
        ({"path": RANKER + "/limit/override"}, "search/ranker"),
        ({"path": "/v1/tenants/search/overrides/night"}, "search/night"),
        ({"path": "/v1/tenants/ads"}, "ads"),
        ({"path": "/v1/gateways"}, ""),
        ({"path": "/metrics"}, ""),
    ],
)
def test_what_a_call_was_about_is_written_as_people_do(given: dict, document: str):
    assert document_in(given) == document


def test_pages_lead_through_all_lines_once_the_newest_first():
    made = memory(*(line(second, outcome="refused" if second % 3 else "done") for second in range(25)))
    seen, after = [], None
    while True:
        page = made.page(ALL, 7, after)
        seen += [one["time"] for one in page.lines]
        if page.following is None:
            break
        after = page.following
    assert seen == [line(second)["time"] for second in reversed(range(25))]


def test_lines_that_come_meanwhile_move_no_page():
    made = memory(*(line(second) for second in range(4)))
    first = made.page(ALL, 2, None)
    made.keep(line(9), 300)
    assert [one["time"] for one in made.page(ALL, 2, first.following).lines] == [line(1)["time"], line(0)["time"]]


@pytest.mark.parametrize("token", ["", "x", "!!", "dGlkZWdhdGUtMC94", "\u00e9"])
def test_a_token_that_this_manager_has_not_given_is_refused(token: str):
    with pytest.raises(Invalid, match="ask one manager for all pages"):
        memory(line()).page(ALL, 1, token)


def test_a_token_of_another_manager_is_refused():
    other = AuditMemory(HandClock(), "tidegate-1", has_peers=True)
    for second in range(2):
        other.keep(line(second), 300)
    token = other.page(ALL, 1, None).following
    with pytest.raises(Invalid, match="begin again without it"):
        memory(line()).page(ALL, 1, token)


def test_refused_calls_without_end_push_out_no_change():
    made = memory(line(0), *(line(1 + second, None, "refused") for second in range(3 * MOST_REFUSED)))
    assert len(made.page(AuditQuery(outcome="done"), 10, None).lines) == 1
    assert len(made.page(AuditQuery(outcome="refused"), 10_000, None).lines) == MOST_REFUSED
    assert made.since(AuditQuery(outcome="done")).timestamp() == BEGIN
    assert made.since(ALL).timestamp() == BEGIN + 1 + 2 * MOST_REFUSED


def test_lines_are_bounded_by_number_and_by_bytes():
    made = memory(*(line(second) for second in range(MOST_LINES + 5)))
    assert len(made.page(ALL, 10_000, None).lines) == MOST_LINES
    assert made.since(ALL).timestamp() == BEGIN + 5
    for second in range(4):
        made.keep(line(5_000 + second), MOST_BYTES // 2)
    assert len(made.page(ALL, 10_000, None).lines) == 2


def test_what_may_be_missing_is_said():
    assert memory().gaps(AuditQuery(start=BEGIN)) == []
    assert memory().gaps(ALL) == ["this manager remembers its calls since 2023-11-14T22:13:20Z"]
    (peers,) = memory(has_peers=True).gaps(AuditQuery(start=BEGIN + 5))
    assert peers == "calls that other managers answered stand in their own trails"
