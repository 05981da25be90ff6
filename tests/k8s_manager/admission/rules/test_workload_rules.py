"""What Kubernetes refuses in rendered pods is said of the document's own field, with what to do."""

import pytest

from istio_templates.documents.model import Workload
from k8s_manager.admission.rules.workload_rules import check_workload


def problems(with_agent: bool = False, **workload) -> dict[str, str]:
    spec = Workload.model_validate({"image": "example.com/m:1", **workload})
    return {found.problem.field: found.problem.message for found in check_workload("w", spec, with_agent)}


def pod(*containers: dict, **spec) -> dict:
    return {"podTemplate": {"spec": {"containers": list(containers), **spec}}}


def of_model(**fields) -> dict:
    return pod({"name": "side", "image": "a"}, {"name": "model", **fields})


TWICE = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
CASES = [
    ({"env": TWICE}, "w.env[1]"),
    ({"env": [{"name": "DEBUG", "value": True}]}, "w.env[0].value"),
    ({"env": [{"name": "A", "valu": "1"}]}, "w.env[0].valu"),
    ({"command": ["a"], **of_model(env=TWICE)}, "w.podTemplate.spec.containers[1].env[1]"),
    (
        {"env": [{"name": "B", "value": 1}], **of_model(env=[{"name": "B", "value": "0"}, {"name": "C", "value": 2}])},
        "w.podTemplate.spec.containers[1].env[1].value",
    ),
    (
        {"resources": {"limits": {"cpu": 1}}, **of_model(resources={"requests": {"cpu": 2}})},
        "w.podTemplate.spec.containers[1].resources.requests.cpu",
    ),
    ({"resources": {"requests": {"cpu": 2}}, **of_model(resources={"limits": {"cpu": 1}})}, "w.resources.requests.cpu"),
    ({"resources": {"limits": {"gpu": 1}}}, "w.resources.limits.gpu"),
    ({"resources": {"limit": {"cpu": 1}}}, "w.resources.limit"),
    (pod({"name": "side"}), "w.podTemplate.spec.containers[0].image"),
    (
        pod({"name": "side", "image": "a", "ports": [{"containerPort": 1}, {"containerPort": 1}]}),
        "w.podTemplate.spec.containers[0].ports[1]",
    ),
    (
        of_model(volumeMounts=[{"name": "v", "mountPath": "/a"}]),
        "w.podTemplate.spec.containers[1].volumeMounts[0].name",
    ),
    (
        of_model(lifecycle={"preStop": {"sleep": {"seconds": 61}}}),
        "w.podTemplate.spec.containers[1].lifecycle.preStop.sleep.seconds",
    ),
    (pod(restartPolicy="Never"), "w.podTemplate.spec.restartPolicy"),
    (pod(tolerations=[{"key": "a", "operator": "Exist"}]), "w.podTemplate.spec.tolerations[0].operator"),
    ({"podTemplate": {"metadata": {"labels": {"a": "b c"}}}}, "w.podTemplate.metadata.labels.a"),
]


@pytest.mark.parametrize("workload, field", CASES)
def test_the_field_of_the_document_is_named(workload, field):
    found = problems(**workload)
    assert field in found and len(found[field]) > 10


def test_the_agents_own_names_are_reserved_beside_it_only():
    workload = pod({"name": "tidegate-warmup", "image": "a"}, volumes=[{"name": "tidegate-warmup-plan"}])
    assert problems(**workload) == {}
    assert set(problems(True, **workload)) == {
        "w.podTemplate.spec.containers[0].name",
        "w.podTemplate.spec.volumes[0].name",
    }


def test_a_whole_template_is_taken():
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    assert problems(**pod({"name": "model", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=volumes)) == {}
