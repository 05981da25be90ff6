"""A tree of manifests: kustomize takes it as it is, and documents from a cluster give the same one."""

import json
import random
from pathlib import Path
from typing import Any

import yaml

from e2e.support.site import Site, kubectl
from istio_templates.documents import load
from istio_templates.names import key_of
from istio_templates.yaml_text import yaml_text
from k8s_manager.cli.manifest_commands.render import read
from k8s_manager.gitops.folder import compare, write
from k8s_manager.gitops.layout import Layout
from k8s_manager.offline.incremental_render import Rendering
from tests.golden.case import CASES, rendered
from tests.support.documents import gateway, model, tenant

KINDS = "inferencegateways,tenants,models"


def tree_of(folder: Path) -> dict[str, str]:
    given = read([str(folder)])
    found = Rendering().of(given.documents, given.places)
    assert (given.findings, found.findings) == ((), ())
    return Layout().tree(found.objects)


async def test_kustomize_gives_exactly_what_is_rendered(site: Site, tmp_path: Path):
    for case in CASES:
        objects = {key_of(obj): obj for obj in rendered(case)}
        write(tmp_path / case, compare(tmp_path / case, Layout().tree(objects)))
        built = yaml.safe_load_all(kubectl("kustomize", str(tmp_path / case)))
        assert {key_of(obj): obj for obj in built} == objects, case


def text_of(chance: random.Random) -> str:
    """Return a text that looks like a number, a moment or a word of YAML, or one of any signs."""
    word = "".join(
        chance.choice([str.upper, str.lower])(c) for c in chance.choice(["yes", "n", "off", "null", "~", "=", ".inf"])
    )
    moment = f"{chance.randint(0, 9999):04}-{chance.randint(1, 13)}-{chance.randint(1, 32)}"
    number = "".join(chance.choices("0123456789_.eExXoObB+-:aAfF", k=chance.randint(1, 9)))
    any_signs = "".join(
        chance.choices("0aeE_.:+-,yN~=< >#'\"\\/[]{}!&*|%@`?\t\né\u2028\U0001f600", k=chance.randint(0, 40))
    )
    return chance.choice([word, moment, f"{moment}T1:02:03Z", number, number, number, any_signs])


async def test_kustomize_reads_ten_thousand_texts_as_the_texts_that_they_are(site: Site, tmp_path: Path):
    chance = random.Random(1)
    texts = [text_of(chance) for _ in range(10_000)]
    keys = dict.fromkeys((text for text in texts if text != "<<"), "")  # kustomize merges by that key, quoted or not
    head = {"apiVersion": "example.com/v1", "kind": "Texts", "metadata": {"name": "texts"}}
    obj = {**head, "spec": {"values": texts, "keys": keys}}
    (tmp_path / "texts.yaml").write_text(yaml_text([obj]))
    (tmp_path / "kustomization.yaml").write_text("resources: [texts.yaml]\n")
    (built,) = load(kubectl("kustomize", str(tmp_path)))
    assert built == obj


async def test_documents_that_were_in_the_cluster_give_the_same_bytes(site: Site, tmp_path: Path):
    names = ("round-a", "round-b")
    documents: list[dict[str, Any]] = [gateway("round", "round-gw")]
    documents += [tenant(name, gateway={"name": "round"}) for name in names]
    documents += [model(which, name, paused="a test") for name in names for which in ("ranker", "scorer")]
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    (tmp_path / "before" / "all.yaml").write_text(yaml.safe_dump_all(documents))
    try:
        for name in (*names, "round-gw"):
            label = {"tidegate.dev/tenant": name} if name in names else {}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": label}}
            kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
        kubectl("apply", "-f", str(tmp_path / "before" / "all.yaml"))
        back = json.loads(kubectl("get", KINDS, "-A", "-o", "json"))["items"]
        mine = [o for o in back if "round" in o["metadata"]["name"] or o["metadata"].get("namespace") in names]
        assert len(mine) == len(documents)
        (tmp_path / "after" / "all.json").write_text("\n---\n".join(map(json.dumps, reversed(mine))))
        assert tree_of(tmp_path / "after") == tree_of(tmp_path / "before")
    finally:
        for name in names:
            kubectl("-n", name, "delete", "model", "--all", "--ignore-not-found")
        kubectl("delete", "tenant", *names, "--ignore-not-found")
        kubectl("delete", "inferencegateway", "round", "--ignore-not-found")
        kubectl("delete", "namespace", *names, "round-gw", "--wait=false", "--ignore-not-found")
