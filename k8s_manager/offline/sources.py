"""Documents that are rendered, each with the place where it stands."""

from collections.abc import Iterable
from dataclasses import dataclass

from istio_templates.documents import Document, parse
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.offline.findings import TreeFinding


@dataclass(frozen=True, slots=True)
class Sources:
    """Documents and their places by their keys, and what is wrong with the rest."""

    documents: dict[ObjectKey, Document]
    places: dict[ObjectKey, str]
    findings: tuple[TreeFinding, ...]


def of(found: Iterable[tuple[str, Manifest]]) -> Sources:
    """Return documents, each given with its place."""
    documents: dict[ObjectKey, Document] = {}
    at: dict[ObjectKey, str] = {}
    findings: list[TreeFinding] = []
    for place, raw in found:
        try:
            document = parse(raw)
        except Invalid as error:
            subject = error.subject if error.subject != "document" else ""
            findings += [TreeFinding("TG102", place, subject, problem) for problem in error.problems]
            continue
        key = document.key
        if key in documents:
            findings.append(
                TreeFinding("TG103", place, str(document), Problem("", f"stands in {at[key]} too; keep one"))
            )
            continue
        documents[key], at[key] = document, place
    return Sources(documents, at, tuple(findings))
