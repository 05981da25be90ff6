"""Documents in files as typed ones; every one that is wrong is named by file, line, kind, namespace and name."""

from collections.abc import Mapping, Sequence
from typing import Any

from istio_templates.documents import Document
from istio_templates.documents.parse import parse
from istio_templates.errors import Invalid, Problem
from k8s_manager.cli.files.document_files import Place, Reading

Object = dict[str, Any]
Read = tuple[Document, Object]
"""A document, and the text of it as it was read."""


class ReadDocuments(list[Read]):
    """Documents as they were read, with where each of them stands."""

    places: Mapping[str, Place]

    def place(self, called: str, field: str) -> str:
        """Return where a field of a document stands, which is called by kind, namespace and name."""
        found = self.places.get(called)
        return f"{found.at(field)}: {called}" if found else called


def documents_in(places: list[str]) -> list[Object]:
    """Return the documents in files, folders and standard input; raises `Invalid` naming each place that is broken."""
    return [raw for _, raw in _read(places)]


def parsed_in(places: list[str], kinds: Sequence[str]) -> ReadDocuments:
    """Return the documents in files, folders and standard input, each of one of the `kinds`; raises `Invalid` naming
    each that is wrong, with its place."""
    found, problems, there = ReadDocuments(), list[Problem](), dict[str, Place]()
    for place, raw in _read(places):
        try:
            document = _writable(raw, kinds)
            if str(document) in there:
                said = f"stands twice, also in {there[str(document)].at('')}; remove one of them"
                raise Invalid(str(document), [Problem("", said)])
        except Invalid as error:
            problems += [Problem(f"{place.at(p.field)}: {_called(raw)}", str(p)) for p in error.problems]
            continue
        there[str(document)] = place
        found.append((document, raw))
    if problems:
        raise Invalid("nothing is written or planned, as documents are wrong", problems)
    found.places = there
    return found


def _writable(raw: Object, kinds: Sequence[str]) -> Document:
    document = parse(raw)
    if document.kind not in kinds:
        said = f"{document.kind} is not written by the REST API; write it with kubectl apply"
        raise Invalid(str(document), [Problem("kind", said)])
    return document


def _called(raw: Object) -> str:
    """Return what a document is called that may be wrong in every part."""
    metadata = raw.get("metadata")
    parts = [metadata.get(part) for part in ("namespace", "name")] if isinstance(metadata, dict) else []
    return " ".join(filter(None, (str(raw.get("kind") or "document"), "/".join(str(part) for part in parts if part))))


def _read(places: list[str]) -> list[tuple[Place, Object]]:
    reading = Reading()
    found = list(reading.placed(places))
    if reading.problems:
        raise Invalid("the documents", [Problem(place, problem.message) for place, problem in reading.problems])
    return found
