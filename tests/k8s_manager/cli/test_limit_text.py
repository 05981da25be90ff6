import pytest

from k8s_manager.cli.limit_text import limit_lines

BUCKET = {"rate": 10, "tokens": 10, "interval": "1s", "burst": 2}
LIMIT = {"total": 20, "reason": "Capacity", "perGateway": BUCKET, "gateways": 2, "mode": "enforce"}
SEEN = {"refused": 12, "requests": 861, "over": "hour"}
NIGHT = {"name": "tidegate-system/night", "sets": "mode shadow", "author": "anna"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"mode": "shadow"}, "in shadow: no request is refused"),
        ({"mode": "shadow", "observed": SEEN}, "12 of 861 in the last hour were beyond it"),
        ({"mode": "shadow", "awaitsVerdict": True}, "in shadow, until its verdict: no request is refused"),
        ({"mode": "shadow", "override": NIGHT}, "override tidegate-system/night: mode shadow by anna"),
        ({"mode": "ramp", "enforcedPercent": 35}, "enforced for 35 % of the requests"),
        ({"mode": "off", "total": None, "reason": "Off"}, "no limit (Off); every request is admitted"),
        (
            {"mode": "off", "total": None, "reason": "NoPinnedSlot"},
            "no limit (NoPinnedSlot); every request is admitted",
        ),
        ({"mode": "off", "total": None, "reason": "Lifted", "override": NIGHT}, "every request is admitted; override"),
        ({"mode": "shadow", "versions": [{"version": "v2", "total": 5}]}, "version v2: 5/s; in shadow"),
        ({"cap": "the model's ceiling caps it at 20/s, not 90/s"}, "caps it at 20/s, not 90/s"),
        ({"overruled": [NIGHT]}, "override tidegate-system/night (mode shadow by anna) is not in force"),
    ],
)
def test_what_is_not_enforced_is_said(answer, words):
    assert words in "\n".join(limit_lines("search/ranker", {**LIMIT, **answer}))


def test_an_enforced_limit_is_one_line():
    (line,) = limit_lines("search/ranker", LIMIT)
    assert line == "search/ranker: 20/s (Capacity), 10/s on each of 2 gateway pods"
