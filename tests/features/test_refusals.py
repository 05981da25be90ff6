"""What a real API server would refuse is a 422 with its field before anything is written, in every way in."""

import pytest
import yaml

from istio_templates.errors import Invalid
from k8s_manager.kube.errors import Refused, error_of
from k8s_manager.offline.offline_world import manifests
from tests.features.conftest import make_search
from tests.features.test_cli import tidegate
from tests.support.documents import gateway, model, tenant

ENV = "spec.versions[0].workload.env"
TWICE = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]


def with_env(*env: dict) -> dict:
    return model("other", versions=[{"name": "v1", "workload": {"replicas": 2, "image": "a:1", "env": list(env)}}])


CASES = [
    (with_env(*TWICE), f"{ENV}[1]"),
    (with_env({"name": "DEBUG", "value": True}), f"{ENV}[0].value"),
    (model("7b-chat"), "metadata.name"),
    (model("other", trafficPolicy={"maxConnections": 2**31}), "spec.trafficPolicy.maxConnections"),
    (
        model("other", trafficPolicy={"outlierDetection": {"interval": "0s"}}),
        "spec.trafficPolicy.outlierDetection.interval",
    ),
]


@pytest.mark.parametrize("document, field", CASES, ids=[field for _, field in CASES])
async def test_a_write_a_plan_and_a_tree_name_the_field(fleet, tmp_path, document, field):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        path = f"/v1/tenants/search/models/{document['metadata']['name']}"
        for query in ("", "?dryRun=true"):
            status, said = await rest.call("PUT", path + query, {"spec": document["spec"]})
            assert status == 422 and field in str(said), said
        assert await fleet.get("Model", document["metadata"]["name"], "search") is None
    file = tmp_path / "documents.yaml"
    file.write_text(yaml.safe_dump_all([gateway(), tenant(), document]))
    code, _, error = await tidegate("render", "-f", str(file))
    assert code == 2 and field in error


@pytest.mark.parametrize(
    "documents, field",
    [
        ([gateway("7gw", managed={"replicas": 1})], "metadata.name"),
        (
            [
                gateway(
                    managed={"replicas": 1},
                    listeners=[{"name": "a-name-too-long-for-a-port", "port": 80, "protocol": "HTTP"}],
                )
            ],
            "spec.listeners[0].name",
        ),
        ([tenant("n" * 60, gateway={"dedicated": {"replicas": 1}})], "metadata.name"),
        ([gateway(selector={"a" * 64: "b"})], "spec.selector"),
        ([gateway(), tenant(host="n" * 64 + ".example.com")], "spec.hosts[0].name"),
        ([{**gateway(), "metadata": {"name": "shared", "labels": {"a": "b c"}}}], "metadata.labels.a"),
    ],
)
def test_gateways_and_tenants_too(documents, field):
    with pytest.raises(Invalid, match=field.replace("[", r"\[")):
        manifests(documents)


@pytest.mark.parametrize("said", ["failed to create typed patch object (a/b)", "failed to convert new object (a/b)"])
def test_an_object_that_a_server_cannot_read_is_refused_and_not_tried_for_ever(said):
    assert isinstance(error_of(500, {"message": said}, "apply"), Refused)
