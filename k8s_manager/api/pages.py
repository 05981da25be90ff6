"""Long lists in pages, and those of its items that a selector asks for."""

import base64
import binascii
from collections.abc import Callable, Sequence

import orjson

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest

MOST = 500
MOST_BYTES = 2 * 2**20
"""Of a page: it ends before the document that would go beyond, wherever its `limit` is."""


def place(obj: Manifest) -> tuple[str, str]:
    """Return by what lists are ordered."""
    return str(obj["metadata"]["name"]), str(obj["metadata"].get("namespace", ""))


def selected(found: Sequence[Manifest], selector: str | None) -> list[Manifest]:
    """Return the objects with all the labels of `KEY=VALUE,...`; raises `Invalid`."""
    wanted = {}
    for part in selector.split(",") if selector else ():
        key, sign, value = part.strip().partition("=")
        if not sign or not key:
            raise Invalid("the list", [Problem("labelSelector", f"{part.strip()!r} is not KEY=VALUE")])
        wanted[key] = value
    return [obj for obj in found if wanted.items() <= (obj["metadata"].get("labels") or {}).items()]


def page(found: Sequence[Manifest], limit: int, after: str | None, shown: Callable[[Manifest], Manifest]) -> Manifest:
    """Return a page of an ordered list, and under `continue` the token of the next one; raises `Invalid`.

    A page holds at least one document. It begins where the last one ended, so that documents created or deleted
    meanwhile move no other.
    """
    ended = None if after is None else _place(after)
    rest = found if ended is None else [obj for obj in found if place(obj) > ended]
    items: list[Manifest] = []
    size = 0
    for obj in rest[:limit]:
        item = shown(obj)
        size += len(orjson.dumps(item))
        if items and size > MOST_BYTES:
            break
        items.append(item)
    answer: Manifest = {"items": items}
    if len(rest) > len(items):
        answer["continue"] = _token(place(rest[len(items) - 1]))
    return answer


def _token(ends: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode("/".join(ends).encode()).decode()


def _place(token: str) -> tuple[str, str]:
    try:
        name, _, namespace = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode().partition("/")
    except (binascii.Error, ValueError) as error:
        said = "is not what a page of this list has said; begin again without it"
        raise Invalid("the list", [Problem("continue", said)]) from error
    return name, namespace
