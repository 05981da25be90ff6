"""A form that was refused: what was typed, and the API's words at the fields that they belong to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from k8s_manager.console.api_client import ApiRefusal


@dataclass(frozen=True, slots=True)
class RefusedForm:
    """What was typed into the form of a `name`, and what is wrong with it. An empty name is that of no form."""

    name: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sentences by field of the form; those of no field under an empty name."""
    status: int = 200

    @classmethod
    def of(cls, name: str, typed: Mapping[str, str], refusal: ApiRefusal, places: Mapping[str, str]) -> "RefusedForm":
        """Place the problems of a refusal; `places` has the form's field for the API's, or for its last part."""
        problems: dict[str, list[str]] = {}
        for where, message in refusal.problems:
            place = _place(where.removeprefix("spec."), places)
            problems.setdefault(place, []).append(message if place or not where else f"{where}: {message}")
        return cls(name, typed, refusal.detail, problems, refusal.status)

    def value(self, form: str, name: str, otherwise: object = "") -> object:
        """Return what was typed into a field of a form; of a form that was not sent, what it says otherwise."""
        return self.typed.get(name, otherwise) if self.name == form else otherwise

    def said(self, form: str, name: str) -> str:
        """Return what is wrong with a field of a form; empty for nothing."""
        return "; ".join(self.problems.get(name, ())) if self.name == form else ""


def _place(where: str, places: Mapping[str, str]) -> str:
    return places.get(where) or places.get(where.rsplit(".", 1)[-1]) or ""


def refused(name: str, message: str, status: int = 422) -> ApiRefusal:
    """Return the refusal of a field that the console itself cannot go on with."""
    problem = {"title": "Not yet", "detail": message, "problems": [{"field": name, "message": message}]}
    return ApiRefusal(status, problem)


def require_confirmation(form: Mapping[str, str], name: str) -> None:
    """Raise `ApiRefusal` unless a name was typed."""
    if form.get("confirm", "").strip() != name:
        raise refused("confirm", f"type {name} to confirm this", 403)
