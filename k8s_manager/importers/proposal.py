"""What is proposed, and what it leaves out: every field that is read is either in a document or in a note."""

from dataclasses import dataclass, field
from typing import Any

from istio_templates.documents import parse
from istio_templates.documents.parse import API_VERSION
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import key_of
from k8s_manager.offline.incremental_render import Rendering

ORDER = ("InferenceGateway", "Tenant", "Model")


@dataclass(frozen=True, slots=True)
class Note:
    """Something of an object that no document says, or that a person has to decide."""

    subject: str
    field: str
    said: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.field}: {self.said}" if self.field else f"{self.subject}: {self.said}"


@dataclass(slots=True)
class Proposal:
    """Documents by their keys, and notes, as they are found."""

    documents: dict[ObjectKey, Manifest] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

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

    def told(self) -> list[Manifest]:
        """Return the documents that hold together, in the order in which they are applied; others become notes."""
        found = {}
        for key in sorted(self.documents, key=lambda key: (ORDER.index(key.kind), key)):
            try:
                found[key] = parse(self.documents[key])
            except Invalid as error:
                self.notes += [Note(str(key), p.field, f"is not proposed: {p.message}") for p in error.problems]
        for finding in Rendering().of(found, {key: str(key) for key in found}).findings:
            self.notes.append(
                Note(finding.place, finding.problem.field, f"would be refused: {finding.problem.message}")
            )
        return [self.documents[key] for key in found]
