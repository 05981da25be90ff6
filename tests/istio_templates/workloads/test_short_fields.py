"""The short fields of a workload and its podTemplate are made one by Kubernetes' list keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.workloads.defaults import with_pause, with_ports
from istio_templates.workloads.short_fields import differences, merged

TOKEN = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}
LOG = {"name": "LOG", "value": "debug"}
ROUTED = [{"name": "http-8080", "containerPort": 8080, "protocol": "TCP"}]
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "value", "limits", "requests", "claims", "cpu", "containerPort"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize(
    ("container", "short", "found"),
    [
        ({"env": [TOKEN]}, {"env": [LOG]}, {"env": [TOKEN, LOG]}),
        ({"env": [LOG, TOKEN]}, {"env": [LOG]}, {"env": [TOKEN, LOG]}),
        ({"env": [LOG]}, {"env": []}, {"env": [LOG]}),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, {"resources": {"limits": {"memory": "20G"}}}, {"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "20G"}}}),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, {"resources": {"requests": {"cpu": 1}}}, {"resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"cpu": 1}}}),
        ({"resources": {"claims": [{"name": "a"}]}}, {"resources": {"claims": [{"name": "b"}]}}, {"resources": {"claims": [{"name": "a"}, {"name": "b"}]}}),
        ({"args": ["--a"]}, {"args": []}, {"args": ["--a"]}),
        ({"command": ["a"]}, {"args": ["--b"], "image": "x:1"}, {"command": ["a"], "args": ["--b"], "image": "x:1"}),
        ({"env": [TOKEN], "volumeMounts": [{"name": "a", "mountPath": "/a"}]}, {"env": [LOG]}, {"env": [TOKEN, LOG], "volumeMounts": [{"name": "a", "mountPath": "/a"}]}),
    ],
)  # fmt: skip
def test_nothing_that_only_one_says_is_lost(container: dict, short: dict, found: dict):
    assert merged(container, short) == found
    assert list(differences(container, short)) == []


@pytest.mark.parametrize(
    ("container", "short", "found"),
    [
        ({"env": [TOKEN, {"name": "LOG", "value": "info"}]}, {"env": [LOG]}, ("env[0]", "env[1]", "LOG")),
        ({"env": [{"name": "LOG", "valueFrom": {}}]}, {"env": [TOKEN, LOG]}, ("env[1]", "env[0]", "LOG")),
        ({"resources": {"limits": {"cpu": 1}}}, {"resources": {"limits": {"cpu": "2"}}}, ("resources.limits.cpu", "resources.limits.cpu", "cpu")),
        ({"resources": {"requests": {"memory": "1Gi"}}}, {"resources": {"requests": {"memory": "1G"}}}, ("resources.requests.memory", "resources.requests.memory", "memory")),
        ({"resources": {"claims": [{"name": "a", "request": "b"}]}}, {"resources": {"claims": [{"name": "a"}]}}, ("resources.claims[0]", "resources.claims[0]", "a")),
        ({"args": ["--a"]}, {"args": ["--b"]}, ("args", "args", "args")),
        ({"command": ["a"]}, {"command": ["b"]}, ("command", "command", "command")),
        ({"image": "a:1"}, {"image": "b:1"}, ("image", "image", "image")),
    ],
)  # fmt: skip
def test_what_both_say_differently_is_named_with_both_places(container: dict, short: dict, found: tuple):
    assert list(differences(container, short)) == [found]


@pytest.mark.parametrize(("one", "other"), [(1, "1"), ("1000m", 1), ("1Gi", "1024Mi"), ("2e3", 2000)])
def test_the_same_amount_in_other_words_is_no_difference(one: object, other: object):
    there, here = {"resources": {"limits": {"cpu": one}}}, {"resources": {"limits": {"cpu": other}}}
    assert list(differences(there, here)) == []


@given(
    st.dictionaries(st.sampled_from(["env", "resources", "args", "image"]), anything, max_size=4), anything, anything
)
def test_whatever_stands_there_is_read(container: dict, env: object, resources: object):
    short = {
        "env": env if isinstance(env, list) else [],
        "resources": resources if isinstance(resources, dict) else {},
    }
    merged(container, short)
    list(differences(container, short))
    with_ports(env, ROUTED)
    with_pause(resources, 15)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ROUTED),
        ([], ROUTED),
        ([{"containerPort": 8080}], [{"containerPort": 8080}]),
        ([{"name": "web", "containerPort": 8080, "protocol": "TCP"}], [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]),
        ([{"containerPort": 9000}], [{"containerPort": 9000}, *ROUTED]),
        ([{"containerPort": 8080, "protocol": "UDP"}], [{"containerPort": 8080, "protocol": "UDP"}, *ROUTED]),
        ([{"name": "http-8080", "containerPort": 9000}], [{"name": "http-8080", "containerPort": 9000}, {"containerPort": 8080, "protocol": "TCP"}]),
    ],
)  # fmt: skip
def test_ports_of_routes_stand_beside_the_tenants_own(given: object, found: list):
    assert with_ports(given, ROUTED) == found


PAUSE = {"preStop": {"sleep": {"seconds": 15}}}
START = {"postStart": {"exec": {"command": ["/bin/true"]}}}
OWN = {"preStop": {"exec": {"command": ["/bin/drain"]}}}


@pytest.mark.parametrize(
    ("given", "found"),
    [(None, PAUSE), ({}, PAUSE), (START, {**PAUSE, **START}), (OWN, OWN), ({**OWN, **START}, {**OWN, **START}),
     ({"stopSignal": "SIGINT"}, {**PAUSE, "stopSignal": "SIGINT"}), ({"preStop": None}, PAUSE)],
)  # fmt: skip
def test_the_pause_before_a_stop_stays_unless_the_tenant_has_its_own(given: object, found: dict):
    assert with_pause(given, 15) == found


def test_no_pause_is_made_where_the_grace_period_has_no_room():
    assert with_pause(None, 0) is None and with_pause(START, 0) == START
