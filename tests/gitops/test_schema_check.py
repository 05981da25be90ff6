"""Findings on what is rendered: schemas of the versions that somebody runs, and what may not be meant."""

import copy

import pytest

from istio_templates.documents import parse
from k8s_manager.offline.findings import remarks
from k8s_manager.offline.schema_check import KUBERNETES, TargetVersions, Unsupported, findings, target
from tests.golden.case import CASES, rendered
from tests.support.documents import gateway, model, tenant

EVERY = TargetVersions(("1.30", "1.31"), (KUBERNETES[0], KUBERNETES[-1]))


@pytest.mark.parametrize("case", CASES[::4])
def test_every_supported_version_takes_what_is_rendered(case: str):
    assert [str(found) for found in findings(rendered(case), EVERY)] == []


def test_an_object_that_a_schema_refuses_is_named_with_its_field():
    service, route = (
        copy.deepcopy(next(o for case in CASES for o in rendered(case) if o["kind"] == kind))
        for kind in ("Service", "VirtualService")
    )
    service["spec"]["ports"][0]["port"] = "eighty"
    route["spec"]["htttp"] = []
    found = list(findings([service, route], TargetVersions()))
    assert [(f.code, f.place) for f in found] == [("TG202", "Kubernetes 1.34"), ("TG201", "Istio 1.31")]
    assert found[0].problem.field == "spec.ports.0.port" and "htttp" in found[1].problem.message


def test_versions_are_said_by_name_and_unknown_ones_are_refused():
    assert target([]) == TargetVersions(("1.31",), ("1.34",))
    assert target(["istio-1.30", "kubernetes-1.33", "kubernetes-1.34"]) == TargetVersions(("1.30",), ("1.33", "1.34"))
    for word in ("istio-1.2", "kubernetes-1.10", "envoy-1.40", "1.30", "istio-1.30x"):
        with pytest.raises(Unsupported, match=r"those are istio-1\.30, istio-1\.31, kubernetes-1\.30"):
            target([word])


def test_what_may_not_be_meant_is_a_warning_with_a_code():
    hosts = [{"name": "a.example.com", "tls": {"credentialName": "cert"}}, {"name": "search.models.example.com"}]
    bare = {"name": "v1", "workload": {"replicas": 1, "image": "example.com:5000/ranker"}}
    fixed = {"name": "v2", "workload": {"replicas": 2, "image": "example.com/ranker@sha256:" + "0" * 64}}
    raw = [gateway(), tenant(hosts=hosts), model(versions=[bare, fixed])]
    raw[2]["spec"].pop("rateLimit")
    documents = {d.key: d for d in map(parse, raw)}
    found = list(remarks(documents, dict.fromkeys(documents, "here")))
    assert {f.level for f in found} == {"warning"}
    assert sorted((f.code, f.problem.field) for f in found) == [
        ("TG301", "spec.rateLimit"),
        ("TG302", "spec.versions.0.workload.replicas"),
        ("TG303", "spec.warmup"),
        ("TG304", "spec.versions.0.workload.image"),
        ("TG305", "spec.hosts.0.name"),
        ("TG306", "spec.hosts.0.tls"),
    ]
