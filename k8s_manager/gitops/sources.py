"""Documents from files, folders and standard input, each with the place where it stands.

One file that is broken is a finding; the others are read all the same.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from istio_templates.documents import Document, load, parse
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import ObjectKey
from k8s_manager.gitops.findings import Finding

ENDS = (".yaml", ".yml", ".json")
_KUSTOMIZATION = "Kustomization"
"""Documents may lie in a folder that kustomize applies; its own file is none."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read: documents and their places by their keys, and what is wrong with the rest."""

    documents: dict[ObjectKey, Document]
    places: dict[ObjectKey, str]
    findings: tuple[Finding, ...]


def read(places: Iterable[str]) -> Sources:
    """Return the documents in files, folders (with all below them) and, for `-`, standard input."""
    documents: dict[ObjectKey, Document] = {}
    at: dict[ObjectKey, str] = {}
    findings: list[Finding] = []
    for place, raw in _raw(places, findings):
        try:
            document = parse(raw)
        except Invalid as error:
            subject = error.subject if error.subject != "document" else ""
            findings += [Finding("TG102", place, subject, problem) for problem in error.problems]
            continue
        key = ObjectKey(document.kind, document.namespace or "", document.name)
        if key in documents:
            findings.append(Finding("TG103", place, str(document), Problem("", f"stands in {at[key]} too; keep one")))
            continue
        documents[key], at[key] = document, place
    return Sources(documents, at, tuple(findings))


def _raw(places: Iterable[str], findings: list[Finding]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, text in _texts(places, findings):
        try:
            found = load(text, name)
        except Invalid as error:
            findings += [Finding("TG101", name, "", problem) for problem in error.problems]
            continue
        for number, raw in enumerate(found, 1):
            if raw.get("kind") != _KUSTOMIZATION:
                yield (name if len(found) == 1 else f"{name} (document {number})"), raw


def _texts(places: Iterable[str], findings: list[Finding]) -> Iterator[tuple[str, str]]:
    for place in places:
        if place == "-":
            yield "standard input", sys.stdin.read()
            continue
        for file in _files(Path(place)):
            try:
                yield str(file), file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                findings.append(Finding("TG101", str(file), "", Problem("", f"cannot be read: {error}")))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in ENDS and file.is_file())
