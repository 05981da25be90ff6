"""JSONPath as kubectl writes it: templates such as `{.items[*].metadata.name}{"\\n"}`. Pure.

The dialect is described at https://kubernetes.io/docs/reference/kubectl/jsonpath/. It knows fields, `['a']`, indexes,
slices, lists of them, `*`, `..name`, filters with one comparison, `range` and `end`. What is not there is nothing.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from istio_templates.errors import Invalid, Problem

Step = Callable[[Any], Iterator[Any]]
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FIELD = re.compile(r"(?:\\.|[^\s.\[\]{}()\\=!<>,'\"])+")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(\d+))?$")
_COMPARISON = re.compile(r"(.*?)\s*(==|!=|<=|>=|<|>)\s*(.+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Loop:
    """What `range` repeats: the values of a path, and the parts for each."""

    path: Sequence[Step]
    parts: "Sequence[Part]"


Part = str | Sequence[Step] | Loop


class Template:
    """A template that was read; `render` fills it in."""

    def __init__(self, text: str) -> None:
        """Read a template; one without braces is a single path. Raises `Invalid`."""
        self._text = text
        whole = text if "{" in text else f"{{{text if text.startswith(('.', '[', '$')) else f'.{text}'}}}"
        self._parts, rest = self._read(list(_tokens(whole, self._wrong)), is_inner=False)
        if rest:
            raise self._wrong("end", "closes no {range}")

    def render(self, value: Any) -> str:
        """Return the text of the template for a value; several results of one path stand apart by a space."""
        return "".join(_rendered(part, value, value) for part in self._parts)

    def values(self, value: Any) -> list[Any]:
        """Return what the first path of the template finds in a value."""
        path = next((part for part in self._parts if not isinstance(part, (str, Loop))), ())
        return list(_walk(path, value))

    def _read(self, tokens: list[tuple[bool, str]], is_inner: bool) -> tuple[list[Part], list[tuple[bool, str]]]:
        parts: list[Part] = []
        while tokens:
            is_path, text = tokens.pop(0)
            if not is_path:
                parts.append(text)
            elif text == "end":
                return parts, ([] if is_inner else [(True, "end")])
            elif text.startswith("range ") or text == "range":
                path = _path(text.removeprefix("range").strip(), self._wrong)
                inner, _ = self._read(tokens, is_inner=True)
                parts.append(Loop(path, inner))
            elif text[:1] in ("'", '"'):
                parts.append(_quoted(text, self._wrong))
            else:
                parts += [_path(piece, self._wrong) for piece in _pieces(text)]
        if is_inner:
            raise self._wrong("range", "has no {end}")
        return parts, []

    def _wrong(self, place: str, said: str) -> Invalid:
        remedy = "write it as for kubectl, such as {.a[0].b}"
        return Invalid(f"jsonpath {self._text!r}", [Problem(place, f"{said}; {remedy}")])


def _tokens(text: str, wrong: Callable[[str, str], Invalid]) -> Iterator[tuple[bool, str]]:
    """Yield the parts of a template, and whether each stood in braces."""
    place = 0
    while place < len(text):
        start = text.find("{", place)
        if start < 0:
            yield False, text[place:]
            return
        if start > place:
            yield False, text[place:start]
        end = _closing(text, start)
        if end < 0:
            raise wrong(text[start:], "has no closing }")
        yield True, text[start + 1 : end].strip()
        place = end + 1


def _closing(text: str, start: int, closing: str = "}") -> int:
    """Return where a bracket closes that opens at `start`; -1 where it does not. Quotes hide brackets."""
    quote, place, opening, depth = "", start + 1, text[start], 1
    while place < len(text):
        letter = text[place]
        if letter == "\\":
            place += 1
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == opening:
            depth += 1
        elif letter == closing:
            depth -= 1
            if not depth:
                return place
        place += 1
    return -1


def _quoted(text: str, wrong: Callable[[str, str], Invalid]) -> str:
    if len(text) < 2 or text[-1] != text[0]:
        raise wrong(text, "is a text without its closing quote")
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text[1:-1])


def _pieces(text: str) -> Iterator[str]:
    """Yield the paths in one pair of braces: kubectl lets several stand there."""
    begin = place = 0
    while place < len(text):
        if text[place] == "[":
            place = max(_closing(text, place, "]"), place)
        elif text[place].isspace():
            yield text[begin:place]
            begin = place + 1
        place += 1
    yield text[begin:]


def _path(text: str, wrong: Callable[[str, str], Invalid]) -> list[Step]:
    """Return the steps of a path."""
    steps: list[Step] = []
    place = 1 if text[:1] in ("$", "@") else 0
    if not text[place:]:
        if place:
            return steps
        raise wrong(text, "is empty")
    while place < len(text):
        if text.startswith("..", place):
            steps.append(_descend)
            place += 1 if text[place + 2 : place + 3] == "[" else 0
        if text[place] == "[":
            end = _closing(text, place, "]")
            if end < 0:
                raise wrong(text, "has no closing ]")
            steps.append(_bracket(text[place + 1 : end].strip(), wrong))
            place = end + 1
            continue
        place += len(text[place:]) - len(text[place:].lstrip("."))
        found = _FIELD.match(text, place)
        if found is None:
            if place == len(text) and text in (".", "$."):
                return steps
            raise wrong(text, f"is no path at {text[place:]!r}")
        steps.append(_field(re.sub(r"\\(.)", r"\1", found[0])))
        place = found.end()
        if place < len(text) and text[place] not in ".[":
            raise wrong(text, f"is no path at {text[place:]!r}")
    return steps


def _bracket(text: str, wrong: Callable[[str, str], Invalid]) -> Step:
    if text.startswith("?"):
        return _filter(text, wrong)
    steps = [_item(part.strip(), wrong) for part in re.split(r",(?=(?:[^']*'[^']*')*[^']*$)", text)]
    return lambda value: (found for step in steps for found in step(value))


def _item(text: str, wrong: Callable[[str, str], Invalid]) -> Step:
    if text == "*":
        return _field("*")
    if text[:1] in ("'", '"'):
        return _field(_quoted(text, wrong))
    if re.fullmatch(r"-?\d+", text):
        return _index(int(text))
    if (found := _SLICE.fullmatch(text)) and found[3] != "0":
        first, last, step = (int(part) if part else None for part in found.groups())
        return lambda value: iter(value[first:last:step] if isinstance(value, list) else ())
    raise wrong(f"[{text}]", "is no index, slice, 'name' or ?(filter)")


def _filter(text: str, wrong: Callable[[str, str], Invalid]) -> Step:
    inner = text[1:].strip()
    if not (inner.startswith("(") and inner.endswith(")")):
        raise wrong(f"[{text}]", "is a filter without its parentheses")
    inner = inner[1:-1].strip()
    if "&&" in inner or "||" in inner:
        raise wrong(f"[{text}]", "joins comparisons, which kubectl does not know either; write one")
    found = _COMPARISON.match(inner)
    if found is None:
        path = _path(inner, wrong)
        return lambda value: (item for item in _children(value) if any(True for _ in _walk(path, item)))
    left, compare, right = _operand(found[1], wrong), _COMPARISONS[found[2]], _operand(found[3], wrong)
    return lambda value: (item for item in _children(value) if _holds(left(item), compare, right(item)))


def _operand(text: str, wrong: Callable[[str, str], Invalid]) -> Callable[[Any], list[Any]]:
    if text.startswith(("@", "$")):
        path = _path(text, wrong)
        return lambda item: list(_walk(path, item))
    if text[:1] in ("'", '"'):
        constant: Any = _quoted(text, wrong)
    else:
        try:
            constant = json.loads(text)
        except ValueError:
            raise wrong(text, "is neither a path, a number nor a quoted text") from None
    return lambda _: [constant]


def _holds(left: list[Any], compare: Callable[[Any, Any], bool], right: list[Any]) -> bool:
    try:
        return bool(left and right) and compare(left[0], right[0])
    except TypeError:
        return False


def _field(name: str) -> Step:
    if name == "*":
        return _children
    return lambda value: iter((value[name],) if isinstance(value, dict) and name in value else ())


def _index(number: int) -> Step:
    return lambda value: iter(value[number : number + 1 or None] if isinstance(value, list) else ())


def _children(value: Any) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for inner in _children(value):
        yield from _descend(inner)


def _walk(path: Sequence[Step], value: Any) -> Iterator[Any]:
    if not path:
        yield value
        return
    for found in path[0](value):
        yield from _walk(path[1:], found)


def _rendered(part: Part, value: Any, root: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Loop):
        return "".join(_rendered(inner, item, root) for item in _walk(part.path, value) for inner in part.parts)
    return " ".join(_shown(found) for found in _walk(part, value))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "<nil>" if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
