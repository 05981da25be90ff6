"""What `spec.rollout` takes, and what it says of the rest: the field, what is wrong, what would be right."""

from typing import Any

import pytest

from istio_templates.documents import parse
from istio_templates.documents.rollouts.rollout import RolloutPolicy
from istio_templates.errors import Invalid
from tests.support.documents import model, tenant

FIELD = "spec.rollout"
TWICE = {"mayBeCalledTwice": True}
ERRORS = {"name": "errors", "outcome": "5xx", "max": "1%"}


def rolled_out(**rollout: Any) -> dict[str, Any]:
    return model(rollout=rollout)


def problems(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        parse(document)
    return {problem.field: problem.message for problem in refused.value.problems}


def read(**rollout: Any) -> RolloutPolicy:
    spec: Any = parse(rolled_out(**rollout)).spec
    found: RolloutPolicy = spec.rollout
    return found


def test_the_rollout_of_the_design_is_read():
    found = read(
        steps=[{"weight": 1}, {"weight": 5}, {"weight": 25}, {"weight": 50, "approval": True}],
        hold="2m",
        checks=[
            ERRORS,
            {"name": "slow", "quantile": 0.99, "max": "200ms", "orTimesStable": 1.2},
            {"name": "clicks", "prometheus": "sum(clicks)", "min": 0.03},
        ],
        onFailure="abort",
        onInconclusive="hold",
    )
    assert [step.weight for step in found.steps] == [1, 5, 25, 50]
    assert [(check.most, check.least) for check in found.checks] == [(0.01, None), (0.2, None), (None, 0.03)]


def test_mirrored_steps_come_before_weights_and_rise_or_stay():
    shares = [{"mirror": "10%"}, {"mirror": "10%"}, {"mirror": "100%"}, {"weight": 1}, {"weight": 5}]
    found = read(steps=shares, **TWICE)
    assert [(step.mirrored, step.weight) for step in found.steps] == [
        (10, None),
        (10, None),
        (100, None),
        (0, 1),
        (0, 5),
    ]


def test_an_empty_rollout_has_steps_and_a_check_on_errors():
    found = read()
    assert [step.weight for step in found.steps] == [5, 25, 50]
    assert [(check.outcome, check.most) for check in found.checks] == [("5xx", 0.01)]


@pytest.mark.parametrize(
    ("rollout", "field", "said"),
    [
        ({"steps": []}, "steps", "at least 1 item"),
        ({"lowTraffic": {"length": "1m"}}, "lowTraffic.length", "1m is below 5m"),
        ({"lowTraffic": {"length": "200h"}}, "lowTraffic.length", "200h is not between 5m and 7 days"),
        ({"lowTraffic": {"maxDelay": "4m"}}, "lowTraffic.maxDelay", "4m is not between 5m and 30 days"),
        ({"lowTraffic": {"maxDelay": "800h"}}, "lowTraffic.maxDelay", "longer than 30 days"),
        ({"lowTraffic": {"timeZone": "Mars/Base"}}, "lowTraffic.timeZone", "is no time zone"),
        ({"lowTraffic": {"peakPercent": 0}}, "lowTraffic.peakPercent", "greater than or equal to 1"),
        ({"lowTraffic": {"excess": 0.5}}, "lowTraffic.excess", "greater than or equal to 1"),
        ({"onWindowEnd": "abort"}, "onWindowEnd", "there is no window that could end"),
        ({"steps": [{"weight": 25}, {"weight": 5}]}, "steps[1].weight", "5 does not rise above 25"),
        ({"steps": [{"weight": 5}, {"weight": 5}]}, "steps[1].weight", "let each step rise"),
        ({"steps": [{"weight": 100}]}, "steps[0].weight", "less than or equal to 99"),
        ({"steps": [{"weight": 60}, {"weight": 101}]}, "steps[1].weight", "less than or equal to 99"),
        ({"steps": [{"weight": 0}]}, "steps[0].weight", "greater than or equal to 1"),
        ({"steps": [{"weight": 5.5}]}, "steps[0].weight", "integer"),
        ({"steps": [{"weight": 5, "hold": "1s"}]}, "steps[0].hold", "1s is not between 10s and 7 days"),
        ({"hold": "9s"}, "hold", "requests are counted every 10s"),
        ({"maxDuration": "5m"}, "maxDuration", "5m is below the 360s that the steps take"),
        ({"maxDuration": "800h"}, "maxDuration", "longer than 30 days"),
        ({"minRequests": 0}, "minRequests", "greater than or equal to 1"),
        ({"onFailure": "promote"}, "onFailure", "abort, hold"),
        ({"checks": []}, "checks", "at least 1 item"),
        ({"windows": [{"cron": "0 2 * *", "length": "1h"}]}, "windows[0].cron", "five"),
        ({"windows": [{"cron": "0 2 * * *", "length": "1m"}]}, "windows[0].length", "below 5m"),
        ({"windows": [{"cron": "0 2 * * *"}]}, "windows[0].length", "is missing"),
        ({"windows": [{"cron": "0 2 30 2 *", "length": "1h"}]}, "windows[0].cron", "never comes: no such month has"),
        ({"windows": [{"cron": "* * * * *", "length": "5m"}]}, "windows[0].cron", "comes 1440 times a day"),
        (
            {"windows": [{"cron": "0 2 * * *", "length": "1h", "timeZone": "Mars/Base"}]},
            "windows[0].timeZone",
            "write a name such as Europe/Berlin",
        ),
        ({"checks": [ERRORS, ERRORS]}, "checks", "errors stands there twice"),
        ({"steps": [{}]}, "steps[0].weight", "give the step a weight, or a mirror such as 10%"),
        ({"steps": [{"mirror": "10%"}], **TWICE}, "steps", "all are mirrored; add one with a weight"),
        ({"steps": [{"mirror": "10%"}, {"weight": 5}]}, "steps[0].mirror", "set mayBeCalledTwice: true"),
        ({"steps": [{"mirror": "0%"}], **TWICE}, "steps[0].mirror", "from 1% to 100%"),
        ({"steps": [{"mirror": "101%"}], **TWICE}, "steps[0].mirror", "'101%' is no share of requests"),
        ({"steps": [{"mirror": "2.5%"}], **TWICE}, "steps[0].mirror", "in whole per cent"),
        ({"steps": [{"mirror": 10}], **TWICE}, "steps[0].mirror", "is no text"),
        ({"steps": [{"mirror": "5%", "weight": 5}], **TWICE}, "steps[0].mirror", "make two steps of it"),
        ({"steps": [{"weight": 5}, {"mirror": "5%"}], **TWICE}, "steps[1].mirror", "put mirrored steps first"),
        ({"steps": [{"mirror": "20%"}, {"mirror": "10%"}], **TWICE}, "steps[1].mirror", "10% is below 20%"),
        ({"mayBeCalledTwice": "yes"}, "mayBeCalledTwice", "valid boolean"),
    ],
)
def test_what_is_wrong_in_a_rollout_is_said_where_it_stands(rollout, field, said):
    found = problems(rolled_out(**rollout))
    assert said in found[f"{FIELD}.{field}"], found


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"name": "nothing", "max": "1%"}, "nothing has no source; give exactly one of outcome, quantile"),
        ({**ERRORS, "quantile": 0.99}, "errors has outcome and quantile"),
        ({"name": "errors", "outcome": "5xx"}, "errors bounds nothing; give max, orTimesStable or both"),
        ({"name": "clicks", "prometheus": "up"}, "clicks bounds nothing; give max or min"),
        ({**ERRORS, "max": "101%"}, "'101%' is no share; write a string such as 1%"),
        ({**ERRORS, "max": 1}, "1 is no share"),
        ({"name": "slow", "quantile": 0.99, "max": 0.2}, "0.2 is no duration"),
        ({"name": "clicks", "prometheus": "up", "max": "3"}, "'3' is no number"),
        ({"name": "clicks", "prometheus": "up", "max": 1, "min": 2}, "min 2 is above max 1"),
        ({**ERRORS, "min": "1%"}, "min: only a prometheus query has one"),
        ({"name": "clicks", "prometheus": "up", "min": 1, "orTimesStable": 2}, "a query is asked once"),
        ({"name": "clicks", "prometheus": "up", "min": float("nan")}, "nan, which is no number of JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_in_a_check_is_said(check, said):
    found = problems(rolled_out(checks=[check]))
    assert any(said in f"{field.rpartition('.')[2]}: {message}" for field, message in found.items()), found


JOB = {"image": "example.com/load:1"}


def test_checks_that_others_decide_are_read():
    job = {**JOB, "command": ["load"], "env": [{"name": "RATE", "value": "5"}], "timeout": "5m"}
    found = read(
        checks=[ERRORS, {"name": "gate", "webhook": "https://gate.example.com/r?x=1"}, {"name": "l", "job": job}]
    )
    _, gate, load = found.checks
    assert gate.webhook == "https://gate.example.com/r?x=1" and load.job is not None
    assert (load.job.image, load.job.command, load.job.timeout) == ("example.com/load:1", ("load",), "5m")


@pytest.mark.parametrize(
    ("check", "field", "said"),
    [
        ({"webhook": "https://169.254.169.254/latest"}, "webhook", "is the metadata service of clouds"),
        ({"webhook": "http://[::ffff:7f00:1]/"}, "webhook", "is a loopback address, which nothing calls"),
        ({"webhook": "https://localhost/"}, "webhook", "a name of the machine itself"),
        ({"webhook": "gate.example.com"}, "webhook", "write it like https://gate.example.com/releases"),
        ({"webhook": "https://a@gate.example.com/"}, "webhook", "without user and fragment"),
        ({"webhook": 3}, "webhook", "is no text"),
        ({"webhook": "https://gate.example.com/", "job": JOB}, "", "gate has webhook and job; give exactly one"),
        ({"webhook": "https://gate.example.com/", "max": 1}, "", "gate has bounds, and a webhook decides by itself"),
        ({"job": JOB, "orTimesStable": 2}, "", "gate has bounds, and a job decides by itself"),
        ({"job": {}}, "job.image", "is missing"),
        ({"job": {"image": "a b"}}, "job.image", "pattern"),
        ({"job": {**JOB, "timeout": "2s"}}, "job.timeout", "2s is below 10s"),
        ({"job": {**JOB, "timeout": "25h"}}, "job.timeout", "longer than a day"),
        ({"job": {**JOB, "volumes": []}}, "job.volumes", "is unknown"),
        ({"job": {**JOB, "serviceAccountName": "Load"}}, "job.serviceAccountName", "is not a DNS label"),
    ],
)
def test_what_is_wrong_in_a_check_that_others_decide_is_said_where_it_stands(check, field, said):
    found = problems(rolled_out(checks=[{"name": "gate", **check}]))
    place = f"{FIELD}.checks[0].{field}".rstrip(".")
    assert any(one.startswith(place) and said in message for one, message in found.items()), found


def test_traffic_names_where_a_rollout_ends():
    versions = [{"name": name, "existing": {"labels": {"v": name}}} for name in ("v1", "v2")]
    halves = [{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}]
    found = problems(model(versions=versions, traffic=halves, rollout={}))
    assert "one version has weight 100; steps lead there" in found[FIELD]


def test_what_another_owner_routes_is_rolled_out_by_that_owner():
    document = model(rollout={}, versions=[{"name": "v1", "existing": {"labels": {"app": "theirs"}}}])
    document["spec"]["attachTo"] = {"virtualService": "theirs"}
    del document["spec"]["routes"]
    assert "the owner of the route moves the weights" in problems(document)[FIELD]


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        ({"name": "f"}, "give start and end of a freeze that comes once, or cron and length"),
        ({"name": "f", "start": "2026-01-02T00:00:00Z"}, "give start and end"),
        ({"name": "f", "cron": "0 0 * * *", "length": "1h", "end": "2026-01-02T00:00:00Z"}, "give start and end"),
        ({"name": "f", "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "is not after start"),
        ({"name": "f", "start": "now", "end": "2026-01-01T00:00:00Z"}, "is no moment"),
    ],
)
def test_what_is_wrong_in_a_freeze_is_said(freeze, said):
    found = problems(tenant(freezes=[freeze]))
    assert any(said in message for message in found.values()) and all("freezes[0]" in field for field in found), found


def test_freezes_have_names_of_their_own():
    one = {"name": "f", "cron": "0 0 * * 5", "length": "1h"}
    assert "each needs its own" in str(problems(tenant(freezes=[one, one])))
