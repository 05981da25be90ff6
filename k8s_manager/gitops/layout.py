"""Which file of the tree holds which object: a kustomize folder per gateway and per tenant, one object per file. Pure.

    kustomization.yaml
    gateways/shared/kustomization.yaml
    gateways/shared/envoyfilter_inference-gw_tidegate-shared-slot-00.yaml
    tenants/search/kustomization.yaml
    tenants/search/namespace_search.yaml
    tenants/search/ranker/virtualservice_search_ranker.yaml

`runtime/`, `rules/` and `mark.yaml` are in a tree that is applied beside the manager (`hybrid`).
No name of Kubernetes holds an underscore, so that no two objects have one path.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from istio_templates import names
from istio_templates.catalog import stage
from istio_templates.documents import load
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.runtime.memo import Memo

Tree = dict[str, str]
"""The text of each file by its path, with slashes, below the tree's folder."""
HEADER = "# Made by `tidegate render` from documents: edit those, this file is overwritten.\n"
KUSTOMIZATION = "kustomization.yaml"
RUNTIME, RULES, MARK_FILE = "runtime", "rules", "mark.yaml"
TOP = ("gateways", "tenants", RUNTIME, RULES, MARK_FILE)
"""The manager's files at the top, beside the kustomization."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class _File:
    """An object in its folder: its path below that, when it is made, its text, and its path in the tree."""

    folder: str
    path: str
    stage: int
    text: str
    whole: str


class Layout:
    """Lays out tree after tree; an object that is the same one as before is not written out again."""

    def __init__(self) -> None:
        self._files: dict[ObjectKey, tuple[Manifest, _File]] = {}
        self._folders = Memo()

    def tree(self, objects: Mapping[ObjectKey, Manifest]) -> Tree:
        """Return the tree of all objects; its bytes follow from them alone, in whatever order they come."""
        before, self._files = self._files, {}
        below: dict[str, list[_File]] = defaultdict(list)
        for key, obj in objects.items():
            known = before.get(key)
            made = known if known and known[0] is obj else (obj, _file(key, obj))
            self._files[key] = made
            below[made[1].folder].append(made[1])
        found = {}
        for folder in sorted(below):
            files = sorted(below[folder], key=_by_path)
            order = tuple(file.path for file in sorted(files, key=_by_stage))
            for file in files:
                found[file.whole] = file.text
            found[f"{folder}/{KUSTOMIZATION}"] = self._folders.get(folder, order, partial(kustomization, order))
        self._folders.end_round()
        found[KUSTOMIZATION] = kustomization(sorted(below))
        return dict(sorted(found.items()))


_by_path, _by_stage = attrgetter("path"), attrgetter("stage")


def digest(tree: Tree) -> str:
    """Return a short name of a tree: the same tree has the same one."""
    found = hashlib.sha256()
    for path, text in sorted(tree.items()):
        found.update(f"{len(path)} {len(text)} {path}{text}".encode())
    return found.hexdigest()[:12]


def review_branch(tree: Tree, tip: str | None) -> str:
    """Return the name of a branch for review of a tree: the same change of the same commit has the same one."""
    return f"tidegate/{digest(tree)}-{(tip or 'first')[:8]}"


def path_of(obj: Manifest) -> str:
    """Return where in the tree an object stands."""
    return "/".join(_place(names.key_of(obj), obj))


def file_text(obj: Manifest) -> str:
    """Return the content of a file for an object."""
    return HEADER + yaml_text([obj])


def object_in(text: str) -> Manifest | None:
    """Return the object in a file of the manager's; None where it holds anything else."""
    try:
        found = load(text)
    except Invalid:
        return None
    return found[0] if len(found) == 1 and isinstance(found[0].get("metadata"), dict) else None


def _file(key: ObjectKey, obj: Manifest) -> _File:
    """Return where an object stands, and what is written there."""
    folder, path = _place(key, obj)
    return _File(folder, path, stage(obj), file_text(obj), f"{folder}/{path}")


def _place(key: ObjectKey, obj: Manifest) -> tuple[str, str]:
    """Return the folder of an object's owner, and its path there. An object without an owner is a document."""
    labels = obj["metadata"].get("labels", {})
    gateway, tenant, model = (labels.get(name) for name in (names.GATEWAY, names.TENANT, names.MODEL))
    folder = f"tenants/{_safe(tenant)}" if tenant else f"gateways/{_safe(gateway)}" if gateway else "documents"
    name = "_".join(_safe(part) for part in (key.kind.lower(), key.namespace, key.name) if part)
    return folder, f"{_safe(model)}/{name}.yaml" if model else f"{name}.yaml"


def _safe(part: str) -> str:
    """Return a part of a path as it is; names were checked long before, and a second look costs nothing."""
    if not _NAME.fullmatch(part):
        raise Invalid(repr(part), [Problem("", "is no name of Kubernetes, and is not made into a path")])
    return part


def kustomization(resources: Iterable[str]) -> str:
    """Return the file that lists what a folder holds, in the order in which it is made."""
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return HEADER + yaml_text([{**head, "sortOptions": {"order": "fifo"}, "resources": list(resources)}])
