"""From documents to a kustomize tree, 1,000 tenants: how much faster than `kubectl kustomize` only puts it together?

kubectl is the one in E2E_KUBECTL, or on the PATH.
"""

import asyncio
import gc
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.support.report import Figure, at_most, plain
from istio_templates.documents import load, parse
from k8s_manager.cli.manifest_commands.render import read
from k8s_manager.gitops.layout import Layout
from k8s_manager.offline.incremental_render import Rendering
from tests.support.documents import gateway, model, tenant

TIMES, MORE_MS, CHANGES = 15, 50, 20
_EXISTING = [{"name": "v1", "existing": {"labels": {"app": "ranker"}}}]


async def run(quick: bool) -> list[Figure]:
    """Render all, put all together with kustomize, then change one tenant after another."""
    tenants = 100 if quick else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = _documents(folder / "documents", tenants)
        tree = folder / "tree"
        words = (sys.executable, "-m", "k8s_manager.cli.main", "render", "-f", str(documents))
        await _seconds(*words, "-d", str(tree))
        objects = sum(1 for _ in tree.rglob("*_*.yaml"))
        printed = min([await _seconds(*words) for _ in range(3)])
        checked = min([await _seconds(*words, "-d", str(tree), "--check") for _ in range(3)])
        return [
            plain("objects", f"{objects} for {tenants} tenants"),
            plain("documents read, planned, rendered and printed, with the start of the process", f"{printed:.2f} s"),
            plain("the same, and held against a tree of as many files", f"{checked:.2f} s"),
            *await _beside_kustomize(tree, printed, promised=not quick),
            *_one_changed(documents),
        ]


async def _beside_kustomize(tree: Path, printed: float, promised: bool) -> list[Figure]:
    kubectl = os.environ.get("E2E_KUBECTL") or shutil.which("kubectl")
    if kubectl is None:
        return [plain("kubectl kustomize", "not measured: there is no kubectl (E2E_KUBECTL)")]
    peer = await _seconds(kubectl, "kustomize", str(tree))
    times = peer / printed
    return [
        plain("kubectl kustomize of that tree", f"{peer:.2f} s"),
        # Of a small tree the start of our process is most: nothing is promised of it.
        Figure(
            "times as fast",
            f"{times:.1f}",
            f"at least {TIMES}" if promised else "",
            times >= TIMES if promised else None,
        ),
    ]


def _one_changed(documents: Path) -> list[Figure]:
    """Change one tenant's file after another, with what was rendered before in memory."""
    rendering, layout, given = Rendering(), Layout(), read([str(documents)])
    layout.tree(rendering.of(given.documents, given.places).objects)
    gc.collect()
    gc.freeze()  # as the manager does once it has read everything
    more, reading, found = [], [], dict(given.documents)
    for number in range(CHANGES):
        file = documents / f"t{number:04d}.yaml"
        file.write_text(file.read_text().replace("weight: 100", "weight: 100\n  paused: changed"))
        began = time.perf_counter()
        for raw in load(file.read_text(), str(file)):
            document = parse(raw)
            found[document.key] = document
        was_read = time.perf_counter()
        layout.tree(rendering.of(found, given.places).objects)
        more.append(1000 * (time.perf_counter() - was_read))
        reading.append(1000 * (was_read - began))
    return [
        plain("one changed tenant: reading it", f"{statistics.median(reading):.1f} ms"),
        at_most("one changed tenant: the whole tree anew, beyond reading it", statistics.median(more), MORE_MS, " ms"),
    ]


def _documents(folder: Path, tenants: int) -> Path:
    folder.mkdir()
    (folder / "gateway.yaml").write_text(yaml.safe_dump(gateway()))
    for number in range(tenants):
        name = f"t{number:04d}"
        text = yaml.safe_dump_all([tenant(name), model("ranker", name, versions=_EXISTING)])
        (folder / f"{name}.yaml").write_text(text)
    return folder


async def _seconds(*words: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait() not in (0, 1):
        raise RuntimeError(f"{words[:4]} failed")
    return time.perf_counter() - began
