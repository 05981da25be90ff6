"""What is proposed, and what it leaves out: every field that is read is either in a document or in a note."""

import re
from dataclasses import dataclass, field
from typing import Any

from istio_templates.documents import Document, parse
from istio_templates.documents.fields import LABEL
from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from k8s_manager.offline.incremental_render import Rendering

UNLIMITED = "no limit is proposed: give rateLimit.perReplicaQps (tidegate measure finds it), first with mode: shadow"
ORDER = ("InferenceGateway", "Tenant", "Model")


@dataclass(frozen=True, slots=True)
class Note:
    """Something of an object that no document can express, or that a person has to decide."""

    subject: str
    field: str
    said: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.field}: {self.said}" if self.field else f"{self.subject}: {self.said}"


def label_of(text: str) -> str:
    """Return the name nearest to a text that a document or version may have; the text itself where it is one."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:63].strip("-") if not re.fullmatch(LABEL, text) else text[:63]


@dataclass(slots=True)
class Proposal:
    """Documents by their keys, and notes, as they are found; beside `standing` documents, which are there already."""

    documents: dict[ObjectKey, Manifest] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    standing: dict[ObjectKey, Document] = field(default_factory=dict)

    def note(self, obj: Manifest, place: str, said: str) -> None:
        """Note something about an object that was read."""
        self.notes.append(Note(str(key_of(obj)), place, said))

    def leave_out(self, obj: Manifest, place: str, part: Any, known: tuple[str, ...]) -> None:
        """Note every field of a part of an object but those that are `known` how to express."""
        if isinstance(part, dict):
            for name in sorted(str(name) for name in part.keys() - set(known)):
                self.note(obj, f"{place}.{name}" if place else name, "is not expressed")

    def put(self, kind: str, name: str, spec: Manifest, namespace: str = "") -> None:
        """Propose a document."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        document = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
        key = ObjectKey(kind, namespace, name)
        if key in self.documents:
            self.notes.append(Note(str(key), "", "is proposed for two objects of that name; the first one's stays"))
            return
        self.documents[key] = document

    def change(self, document: Manifest) -> None:
        """Propose a document that stands already in another form."""
        self.documents[key_of(document)] = document

    def told(self) -> list[Manifest]:
        """Return the documents that are accepted together, in the order in which they are applied; the others, and what
        depends on them, become notes."""
        proposed, rendering = self._parsed(), Rendering()
        found = {**self.standing, **proposed}
        while rejected := rendering.of(found, {key: str(key) for key in found}).findings:
            changed = {str(key) for key in proposed}
            for finding in rejected:
                if finding.place in changed:
                    self._leave_away(finding.place, finding.problem)
            gone = {finding.place for finding in rejected}
            found = {key: document for key, document in found.items() if str(key) not in gone}
        return [self.documents[key] for key in found if key in proposed]

    def _parsed(self) -> dict[ObjectKey, Document]:
        found = {}
        for key in sorted(self.documents, key=lambda key: (ORDER.index(key.kind), key)):
            try:
                found[key] = parse(self.documents[key])
            except Invalid as error:
                for problem in error.problems:
                    self._leave_away(str(key), problem)
        return found

    def _leave_away(self, subject: str, problem: Problem) -> None:
        self.notes.append(Note(subject, problem.field, f"is not proposed: {problem.message}"))
