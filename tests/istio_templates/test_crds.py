from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from istio_templates.documents.crd import crds
from scripts.generate import generated
from tests.support.documents import gateway, model, tenant

BY_KIND = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds()}


@pytest.mark.parametrize("document", [gateway(), tenant(), model()])
def test_a_right_document_fits_its_crd(document):
    jsonschema_rs.validate(BY_KIND[document["kind"]], document)


def test_the_samples_fit_their_crds():
    sample = Path(__file__).parents[2] / "manifests" / "samples" / "search.yaml"
    for document in yaml.safe_load_all(sample.read_text()):
        jsonschema_rs.validate(BY_KIND[document["kind"]], document)


def test_generated_files_are_current():
    assert [str(file) for file, content in generated() if file.read_bytes() != content] == []


def test_schemas_are_structural():
    """No references, no alternatives, a type everywhere: what Kubernetes asks of a CRD."""

    def check(schema: dict, path: str) -> None:
        assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "const"} & schema.keys(), path
        assert "type" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path
        for name, inner in schema.get("properties", {}).items():
            check(inner, f"{path}.{name}")
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                check(schema[word], f"{path}.{word}")

    for kind, schema in BY_KIND.items():
        check(schema, kind)
