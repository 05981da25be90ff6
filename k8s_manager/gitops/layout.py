"""Which file of the tree holds which object: a kustomize folder per gateway and per tenant, one object per file. Pure.

    kustomization.yaml
    gateways/shared/kustomization.yaml
    gateways/shared/envoyfilter_inference-gw_tidegate-shared-slot-00.yaml
    tenants/search/kustomization.yaml
    tenants/search/namespace_search.yaml
    tenants/search/ranker/virtualservice_search_ranker.yaml

No name of Kubernetes holds an underscore, so that no two objects have one path.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from istio_templates import names
from istio_templates.catalog import stage
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.memo import Memo

Tree = dict[str, str]
"""The text of each file by its path, with slashes, below the tree's folder."""
HEADER = "# Made by `tidegate render` from documents: edit those, this file is written anew.\n"
KUSTOMIZATION = "kustomization.yaml"
TOP = ("gateways", "tenants")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class _File:
    """An object in its folder: its path below that, when it is made, and its text."""

    folder: str
    path: str
    stage: int
    text: str


class Layout:
    """Lays out tree after tree; an object that is the same one as before is not written out again."""

    def __init__(self) -> None:
        self._memo = Memo()

    def tree(self, objects: Mapping[ObjectKey, Manifest]) -> Tree:
        """Return the tree of all objects; its bytes follow from them alone, in whatever order they come."""
        found: Tree = {}
        below: dict[str, list[_File]] = defaultdict(list)
        for key, obj in objects.items():
            file = self._memo.get(key, (obj,), partial(_file, key, obj))
            below[file.folder].append(file)
            found[f"{file.folder}/{file.path}"] = file.text
        for folder, files in below.items():
            paths = tuple(file.path for file in sorted(files, key=lambda file: (file.stage, file.path)))
            found[f"{folder}/{KUSTOMIZATION}"] = self._memo.get(folder, paths, partial(_kustomization, paths))
        self._memo.end_round()
        found[KUSTOMIZATION] = _kustomization(sorted(below))
        return dict(sorted(found.items()))


def _file(key: ObjectKey, obj: Manifest) -> _File:
    """Return where an object stands, and what is written there."""
    labels = obj["metadata"].get("labels", {})
    tenant, model = labels.get(names.TENANT), labels.get(names.MODEL)
    folder = f"tenants/{_safe(tenant)}" if tenant else f"gateways/{_safe(labels[names.GATEWAY])}"
    name = "_".join(_safe(part) for part in (key.kind.lower(), key.namespace, key.name) if part)
    path = f"{_safe(model)}/{name}.yaml" if model else f"{name}.yaml"
    return _File(folder, path, stage(obj), HEADER + yaml_text([obj]))


def _safe(part: str) -> str:
    """Return a part of a path as it is; names were checked long before, and a second look costs nothing."""
    if not _NAME.fullmatch(part):
        raise Invalid(repr(part), [Problem("", "is no name of Kubernetes, and is not made into a path")])
    return part


def _kustomization(resources: Iterable[str]) -> str:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return HEADER + yaml_text([{**head, "sortOptions": {"order": "fifo"}, "resources": list(resources)}])
