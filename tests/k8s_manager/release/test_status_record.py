"""The state of a release survives being a status: a new leader goes on from exactly what the last one knew."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.release.decision.rules import ReleaseRules, ReleaseStep
from k8s_manager.release.decision.state import (
    BlockedVersion,
    CheckResult,
    CheckVerdict,
    ReleasePhase,
    ReleaseReason,
    ReleaseState,
    ReleaseWindow,
)
from k8s_manager.release.status_record import state_of, status_of

RULES = ReleaseRules(steps=(ReleaseStep(5), ReleaseStep(50)))
names, texts = st.sampled_from(["v1", "v2", "v3"]), st.text(max_size=20)
moments = st.integers(1, 4 * 10**12).map(lambda milliseconds: milliseconds / 1000)
figures = st.none() | st.integers(0, 9999).map(lambda value: value / 1000)
results = st.builds(
    CheckResult,
    name=names,
    verdict=st.sampled_from(CheckVerdict),
    sentence=texts,
    at=moments,
    value=figures,
    bound=figures,
    stable=figures,
    requests=st.none() | st.integers(0, 10**6),
    failures=st.integers(0, 9),
)
states = st.builds(
    ReleaseState,
    stable=names,
    version=names,
    phase=st.sampled_from(ReleasePhase),
    step=st.integers(0, 19),
    begun=st.booleans(),
    reached=st.integers(-1, 20),
    weight=st.integers(0, 100),
    mirror=st.integers(0, 100),
    is_live=st.booleans(),
    started=moments | st.just(0.0),
    since=moments | st.just(0.0),
    paused=moments | st.just(0.0),
    kept=st.integers(0, 1000),
    is_forced=st.booleans(),
    plan=texts,
    reason=st.sampled_from(ReleaseReason),
    message=texts,
    results=st.lists(results, max_size=2).map(tuple),
    approved=st.lists(st.integers(0, 19), max_size=3).map(tuple),
    handled=texts,
    blocked=st.lists(st.builds(BlockedVersion, version=names, reason=texts, at=moments), max_size=2).map(tuple),
    previous=texts,
    window=st.none() | st.builds(ReleaseWindow, start=st.none() | moments, end=moments, message=texts),
)


@given(state=states)
def test_a_state_is_the_same_behind_the_api_server(state):
    kept = state if state.is_under_way else dataclasses.replace(state, window=None)
    assert state_of(json.loads(json.dumps(status_of(state, RULES)))) == kept


def test_every_field_is_tried():
    tried = states.wrapped_strategy.kwargs  # type: ignore[attr-defined]
    assert {field.name for field in dataclasses.fields(ReleaseState)} == set(tried)


CHECK = {"name": "errors", "verdict": "pass", "message": "", "at": "2026-01-01T00:00:00Z", "failures": 0}


def test_a_check_without_figures_is_read():
    assert state_of(of(checks=[CHECK])).results[0].value is None


def of(**changes):
    found = status_of(ReleaseState("v1", "v2", ReleasePhase.RUNNING, started=1.0, since=1.0), RULES)
    return {**found, **changes}


@pytest.mark.parametrize(
    "found",
    [
        None,
        "v1",
        [],
        {},
        of(phase="Gone"),
        of(weight=101),
        of(weight=True),
        of(mirror=101),
        of(mirror="10%"),
        of(step=0),
        of(stable=""),
        of(since="yesterday"),
        of(since="2026-01-01T00:00:00"),
        of(checks=["errors"]),
        of(checks=[{**CHECK, "value": "much"}]),
        of(checks=[{**CHECK, "stable": {}}]),
        of(checks=[{**CHECK, "requests": 1.5}]),
        of(checks=[{**CHECK, "at": 5}]),
        of(blocked=[{"version": "v2"}]),
        of(reason="Because"),
    ],
)
def test_what_others_have_written_there_is_no_state(found):
    assert state_of(found) is None
