"""Documents from files, folders and standard input, each with the place where it stands.

One file that is broken is a finding; the others are read all the same.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from istio_templates.documents import Document, load, parse
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import ObjectKey
from k8s_manager.gitops.findings import Finding

ENDS = (".yaml", ".yml", ".json")
KUSTOMIZATION = "kustomization.yaml"
"""Documents may lie in a folder that kustomize applies; its own file is none."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read: documents and their places by their keys, and what is wrong with the rest."""

    documents: dict[ObjectKey, Document]
    places: dict[ObjectKey, str]
    findings: tuple[Finding, ...]


def read(places: Sequence[str]) -> Sources:
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


def _raw(places: Sequence[str], findings: list[Finding]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, text in _texts(places, findings):
        try:
            found = load(text, name)
        except Invalid as error:
            findings += [Finding("TG101", name, "", problem) for problem in error.problems]
            continue
        for number, raw in enumerate(found, 1):
            yield (name if len(found) == 1 else f"{name} (document {number})"), raw


def _texts(places: Sequence[str], findings: list[Finding]) -> Iterator[tuple[str, str]]:
    for place in places:
        if place == "-":
            yield from _text("standard input", sys.stdin.buffer.read, findings)
    given = [Path(place) for place in places if place != "-"]
    for file in dict.fromkeys(file for path in given for file in _files(path, findings)):
        yield from _text(str(file), file.read_bytes, findings)


def _text(name: str, read: Callable[[], bytes], findings: list[Finding]) -> Iterator[tuple[str, str]]:
    try:
        yield name, read().decode()
    except (OSError, UnicodeDecodeError) as error:
        findings.append(_unreadable(name, error))


def _unreadable(name: str, error: Exception) -> Finding:
    return Finding("TG101", name, "", Problem("", f"cannot be read: {error}"))


def _files(path: Path, findings: list[Finding]) -> Iterator[Path]:
    """Yield a file, or those in a folder and all below it; links to folders are not followed, and told."""
    if not path.is_dir():
        yield path
        return
    for folder, inner, names in os.walk(path, onerror=lambda e: findings.append(_unreadable(str(e.filename), e))):
        inner.sort()
        for name in inner:
            if (link := Path(folder, name)).is_symlink():
                said = "is a link to a folder, which is not followed; name that folder too"
                findings.append(Finding("TG101", str(link), "", Problem("", said)))
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix in ENDS and name != KUSTOMIZATION)
