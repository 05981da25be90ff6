"""The kinds of documents in the words of the command line: singular, plural and short names, as kubectl knows them."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum

import typer

from istio_templates.documents.crd import GROUP, PLURALS, SHORT_NAMES


class DocumentKind(StrEnum):
    """A kind of document, in the words of the command line."""

    GATEWAY = "gateway"
    TENANT = "tenant"
    MODEL = "model"
    OVERRIDE = "override"
    GRANT = "grant"
    MODEL_VERSION = "modelversion"
    CALLER = "caller"


KINDS: Mapping[str, DocumentKind] = {
    "InferenceGateway": DocumentKind.GATEWAY,
    "Tenant": DocumentKind.TENANT,
    "Model": DocumentKind.MODEL,
    "LimitOverride": DocumentKind.OVERRIDE,
    "AccessGrant": DocumentKind.GRANT,
    "ModelVersion": DocumentKind.MODEL_VERSION,
    "Caller": DocumentKind.CALLER,
}
OF_TENANTS = (DocumentKind.MODEL, DocumentKind.MODEL_VERSION, DocumentKind.CALLER)
"""Kinds that are named TENANT/NAME: they stand below a tenant only."""


def _names() -> Iterator[tuple[str, DocumentKind]]:
    for kind, word in KINDS.items():
        for name in (kind.lower(), PLURALS[kind], SHORT_NAMES[kind], word.value, f"{word.value}s"):
            yield name, word


NAMES: Mapping[str, DocumentKind] = dict(_names())
_ELSEWHERE = {
    **dict.fromkeys(("event", "events", "ev"), "events are shown by tidegate events, with -n those of a tenant"),
    **dict.fromkeys(("pod", "pods", "po"), "the pods of a model are shown by tidegate describe model TENANT/MODEL"),
}
_BY_KUBECTL = {"warmupplan", PLURALS["WarmupPlan"], SHORT_NAMES["WarmupPlan"]}


def kind_named(word: str) -> DocumentKind:
    """Return the kind that a word names, in any case and also with the API group; raises `BadParameter`."""
    bare = word.lower().removesuffix(f".{GROUP}")
    if bare in NAMES:
        return NAMES[bare]
    if bare in _BY_KUBECTL:
        raise typer.BadParameter("the REST API has no warm-up plans; use kubectl: kubectl get warmupplans")
    if bare in _ELSEWHERE:
        raise typer.BadParameter(_ELSEWHERE[bare])
    close = get_close_matches(bare, NAMES, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise typer.BadParameter(f"{word!r} is no kind; {hint}(one of {', '.join(kind.value for kind in DocumentKind)})")


def is_kind(word: str) -> bool:
    """Tell whether a word names a kind."""
    return word.lower().removesuffix(f".{GROUP}") in NAMES
