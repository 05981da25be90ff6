"""Make istio_templates/schemas/istio-VERSION.json from Istio's CRDs.

    python -m scripts.istio_schemas VERSION crd-all.gen.yaml

The input is `manifests/charts/base/files/crd-all.gen.yaml` of istio/istio (Apache-2.0) at that release. Kept are
the kinds and versions that Tidegate renders, without descriptions.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KINDS = {"Gateway": "v1", "VirtualService": "v1", "DestinationRule": "v1", "EnvoyFilter": "v1alpha3", "Telemetry": "v1"}
GROUPS = ("networking.istio.io", "telemetry.istio.io")
FOLDER = Path(__file__).parent.parent / "istio_templates" / "schemas"


def without_prose(value: Any, in_properties: bool = False) -> Any:
    """Return a schema without descriptions; a property that is called so stays."""
    if isinstance(value, list):
        return [without_prose(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_prose(inner, key == "properties" and not in_properties)
        for key, inner in value.items()
        if in_properties or key != "description"
    }


def reduced(crd: dict[str, Any]) -> dict[str, Any]:
    """Return a CRD with the one version that is used."""
    spec = crd["spec"]
    (version,) = [v for v in spec["versions"] if v["name"] == KINDS[spec["names"]["kind"]]]
    kept = {name: version[name] for name in ("name", "served", "schema", "subresources") if name in version}
    names = {name: spec["names"][name] for name in ("kind", "listKind", "plural", "singular")}
    return {
        "apiVersion": crd["apiVersion"],
        "kind": crd["kind"],
        "metadata": {"name": crd["metadata"]["name"]},
        "spec": {
            "group": spec["group"],
            "names": names,
            "scope": spec["scope"],
            "versions": [without_prose({**kept, "storage": True})],
        },
    }


def main(version: str, source: str) -> None:
    """Write the file of one Istio version."""
    crds = [crd for crd in yaml.load_all(Path(source).read_text(), Loader=yaml.CSafeLoader) if crd]
    wanted = [c for c in crds if c["spec"]["group"] in GROUPS and c["spec"]["names"]["kind"] in KINDS]
    body = [reduced(crd) for crd in sorted(wanted, key=lambda c: str(c["metadata"]["name"]))]
    (FOLDER / f"istio-{version}.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
