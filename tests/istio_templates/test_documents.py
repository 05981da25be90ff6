import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import load, parse
from istio_templates.documents.fields import host_name, route_path, seconds
from istio_templates.errors import Invalid
from tests.support.documents import gateway, model, tenant

ROUTE = {"host": "search.models.example.com", "path": "/a", "port": 8080}
OWN = model(versions=[{"name": "v1", "workload": {"image": "example.com/ranker:1"}, "rateLimit": {"ceiling": 9}}])
ATTACHED = model(attachTo={"virtualService": "theirs"}, versions=[{"name": "v1", "existing": {"labels": {"app": "a"}}}])
del ATTACHED["spec"]["routes"]


def problems(document: dict) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        parse(document)
    return {problem.field: problem.message for problem in refused.value.problems}


def changed(document: dict, path: str, value: object) -> dict:
    out = copy.deepcopy(document)
    node = out
    *steps, last = path.split(".")
    for step in steps:
        node = node[int(step)] if step.isdigit() else node[step]
    node[int(last) if last.isdigit() else last] = value
    return out


@pytest.mark.parametrize("document", [gateway(), tenant(), model()])
def test_a_right_document_is_read(document):
    assert parse(document).name == document["metadata"]["name"]


@pytest.mark.parametrize(
    ("document", "path", "value", "field", "words"),
    [
        (model(), "kind", "Modle", "kind", "did you mean Model?"),
        (model(), "apiVersion", "tidegate.dev/v2", "apiVersion", "tidegate.dev/v1alpha1"),
        (model(), "metadata.nmae", "x", "metadata.nmae", "did you mean name?"),
        (model(), "metadata.name", "Ranker", "metadata.name", "DNS label"),
        (model(), "spec.rutes", [], "spec.rutes", "did you mean routes?"),
        (model(), "spec.routes.0.protocol", "http2", "spec.routes[0].protocol", "did you mean http?"),
        (model(), "spec.routes.0.port", 70000, "spec.routes[0].port", "65535"),
        (model(), "spec.versions.0.workload.replicas", -1, "spec.versions[0].workload.replicas", "greater than or equal to 0"),
        (model(), "spec.versions.0.workload", {"replicas": 1}, "spec.versions[0].workload", "give image"),
        (model(), "spec.versions.0.workload", {"image": "a", "capacityMode": "resourceAware"}, "spec.versions[0].workload", "acceptOutage"),
        (model(), "spec.versions.0.workload.podTemplate", {"spec": {"containers": [{}]}}, "spec.versions[0].workload.podTemplate", "name"),
        (model(), "spec.versions.0.existing", {"labels": {"a": "b"}}, "spec.versions[0]", "exactly one of workload and existing"),
        (model(), "spec.rateLimit.perReplicaQps", float("nan"), "spec.rateLimit.perReplicaQps", ""),
        (model(), "spec.rateLimit.mode", "shadwo", "spec.rateLimit.mode", "did you mean shadow"),
        (model(), "spec.rateLimit.verdict", {"over": "2h"}, "spec.rateLimit.verdict", "between 1m and 1h"),
        (model(), "spec.rateLimit.verdict", {"refusedAtMost": 101}, "spec.rateLimit.verdict.refusedAtMost", "100"),
        (model(), "spec.rateLimit.ramp", {"over": 30}, "spec.rateLimit.ramp.over", "with its unit"),
        (model(), "spec.versions.0.rateLimit", {"floor": 9, "ceiling": 3}, "spec.versions[0].rateLimit", "above ceiling"),
        (OWN, "spec.rateLimit", None, "spec.versions", "give the model one too"),
        (OWN, "spec.routes", [ROUTE, {**ROUTE, "path": "/b", "port": 8001}], "spec.versions", "all routes on one port"),
        (ATTACHED, "spec.versions.0.rateLimit", {"ceiling": 9}, "spec.versions", "its cluster is not known"),
        (model(), "spec.rateLimit.debounce.up", {"quiet": "9s", "longest": "1s"}, "spec.rateLimit.debounce.up", "above longest"),
        (model(), "spec.trafficPolicy", {"loadBalancing": {"policy": "hash"}}, "spec.trafficPolicy.loadBalancing", "header and cookie"),
        (tenant(), "spec.gateway", {}, "spec.gateway", "exactly one of name and dedicated"),
        (tenant(), "spec.hosts", [{"name": "localhost"}], "spec.hosts[0].name", "no full host name"),
        (tenant(), "spec.hosts", [{"name": "a.b"}, {"name": "A.B."}], "spec.hosts", "claimed twice"),
        (gateway(), "spec.managed", {}, "spec.managed", "exactly one of replicas and autoscale"),
        (gateway(), "spec.listeners.0.domain", "a.b", "spec.listeners[0]", "use protocol HTTPS"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path_with_what_is_allowed(document, path, value, field, words):
    assert words in problems(changed(document, path, value))[field]


@pytest.mark.parametrize("more", [{"replicas": 2}, {"acceptOutage": True}, {"replicas": 1, "acceptOutage": True}])
def test_a_rollout_may_take_a_replica_away_first_where_another_stays_or_an_outage_is_accepted(more):
    workload = {"image": "a", "capacityMode": "resourceAware", **more}
    assert parse(changed(model(), "spec.versions.0.workload", workload))


@pytest.mark.parametrize(("least", "field"), [(2, None), (1, "spec.versions[0].workload")])
def test_of_replicas_that_follow_signals_the_least_have_to_leave_one(least, field):
    version = {"name": "v1", "autoscale": {"min": least, "max": 4}}
    document = model(versions=[{**version, "workload": {"image": "a", "capacityMode": "resourceAware"}}])
    if field is None:
        assert parse(document)
    else:
        assert "autoscale: min 2" in problems(document)[field]


def test_every_wrong_field_is_listed():
    wrong = changed(changed(model(), "spec.routes.0.path", "x"), "spec.versions.0.workload.replicas", "two")
    assert set(problems(wrong)) == {"spec.routes[0].path", "spec.versions[0].workload.replicas"}


def test_a_document_that_is_nested_without_end_is_refused():
    deep: dict = {}
    for _ in range(200):
        deep = {"a": deep}
    assert "nested deeper" in problems(changed(model(), "spec.versions.0.workload.podTemplate", {"spec": deep}))["spec"]


def test_broken_yaml_is_named_by_line_and_column():
    with pytest.raises(Invalid, match="line 3, column 1"):
        load("a: 1\nb: [\n")


@given(text=st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    try:
        for document in load(text):
            parse(document)
    except Invalid as error:
        assert error.problems


@given(text=st.text(max_size=60))
def test_a_host_has_one_spelling(text):
    try:
        host = host_name(text)
    except ValueError:
        return
    assert host_name(host) == host
    assert host.isascii() and host == host.lower() and not host.endswith(".")


@given(text=st.text(alphabet="/.%\r\n\x00 abc?#*", max_size=30))
def test_a_path_has_no_character_that_a_proxy_reads_otherwise(text):
    try:
        path = route_path(text)
    except ValueError:
        return
    assert path.startswith("/") and not set(path) & set("%\r\n\x00 ?#")
    assert ".." not in path.split("/") and "//" not in path


@pytest.mark.parametrize(("text", "value"), [("200ms", "1/5"), ("1m30s", "90"), ("1.5s", "3/2"), ("2h", "7200")])
def test_a_duration_is_exact(text, value):
    assert str(seconds(text)) == value


TEMPLATE = "spec.versions.0.workload.podTemplate"
CONTAINER = {
    "name": "model",
    "env": None,
    "ports": None,
    "lifecycle": {"preStop": None},
    "resources": {"limits": None},
    "livenessProbe": None,
}


@pytest.mark.parametrize(
    ("value", "said"), [(True, "quote it"), (3, "quote it"), (["a"], "write a text"), ({}, "write a text")]
)
def test_what_stands_where_a_text_belongs_is_named_with_the_remedy(value: object, said: str):
    document = model()
    document["spec"]["paused"] = value
    with pytest.raises(Invalid, match=f"spec.paused: .* is no text; {said}"):
        parse(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (TEMPLATE, None),
        (TEMPLATE, {"metadata": None, "spec": None}),
        (TEMPLATE, {"metadata": {"labels": None, "annotations": {"a": None}}}),
        (TEMPLATE, {"spec": {"nodeSelector": None, "terminationGracePeriodSeconds": None, "containers": None}}),
        (TEMPLATE, {"spec": {"containers": [CONTAINER, None], "volumes": [None], "initContainers": None}}),
        (TEMPLATE, {"spec": {"containers": [{"name": "model", "readinessProbe": {"initialDelaySeconds": None}}]}}),
        ("spec.versions.0.workload.env", None),
        ("spec.versions.0.workload.env", [{"name": "A", "value": None, "valueFrom": {"fieldRef": {"fieldPath": "a", "apiVersion": None}}}]),
        ("spec.versions.0.workload.resources", {"limits": None, "requests": {"cpu": None}}),
        ("spec.versions.0.workload.command", None),
        ("spec.routes.0.headers", None),
        ("spec.routes.0.retries", None),
        ("spec.trafficPolicy", {"outlierDetection": None}),
        ("spec.rateLimit.floor", None),
        ("spec.drain", None),
    ],
)  # fmt: skip
def test_null_is_taken_as_absent_at_any_depth(path: str, value: object):
    found = parse(changed(model(), path, value))
    assert "None" not in str(found.spec.versions[0].workload.short_fields()["env"])
    assert "None" not in str(found.spec.versions[0].workload.pod_template)
    assert found.spec.drain == "30s" and found.spec.rate_limit.floor == 1


@pytest.mark.parametrize(("path", "said"), [("spec.routes.0.host", "required"), ("spec.traffic", "required")])
def test_null_where_a_value_is_required_is_said_to_be_missing(path: str, said: str):
    assert any(said in message for message in problems(changed(model(), path, None)).values())


def test_an_unknown_field_is_named_also_with_null():
    assert "did you mean routes" in problems(changed(model(), "spec.rutes", None))["spec.rutes"]
