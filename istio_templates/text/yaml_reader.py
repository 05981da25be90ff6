"""Texts to mappings, as kubectl reads them: YAML by Go's rules, JSON, several documents, a byte order mark."""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from istio_templates.errors import Invalid, Problem
from istio_templates.text import scalars
from istio_templates.text.json_reader import json_documents
from istio_templates.text.json_values import FILE, MAX_DEPTH, flaw_of

MOST_EVENTS = 100_000
"""Most YAML values that are read of an untrusted text; each costs some 20 us."""
MOST_DOCUMENTS = 20
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


class _Loader(yaml.CSafeLoader):
    """Refuses keys that are equal once they are read; readers disagree about which of them counts."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._flat: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if node not in self._flat:  # a second time it holds what it was merged with, too
            self._flat.add(node)
            self._refuse_twice(node)
        super().flatten_mapping(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _wrong(node, "is no mapping")
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep=deep) for key, value in node.value}

    def _refuse_twice(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for place, _ in node.value:
            key = "<<" if place.tag == _MERGE else self._key(place)
            if key in seen:
                raise _wrong(place, f"key {key[:60]!r} stands twice")
            seen.add(key)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _wrong(node, "a key is a text, and this one is not")
        if node.tag == f"{_TAG}str":
            return str(node.value)
        return str(_of(node, scalars.key, self.construct_object(node)))


def _wrong(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _of(node: yaml.Node, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise _wrong(node, str(error)) from error


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    return _of(node, scalars.number, loader.construct_scalar(node))


def _truth(loader: _Loader, node: yaml.ScalarNode) -> bool:
    text = str(loader.construct_scalar(node))
    if text.lower() not in scalars.TRUTHS:
        raise _wrong(node, f"{text[:60]!r} is neither true nor false")
    return scalars.TRUTHS[text.lower()]


def _binary(loader: _Loader, node: yaml.ScalarNode) -> str:
    try:
        return base64.b64decode(str(loader.construct_scalar(node))).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _wrong(node, "holds bytes that are no text") from error


def _untagged(loader: _Loader, node: yaml.Node) -> Any:
    """Return what stands behind a tag that has no meaning here; Go takes it as if the tag were not there."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_yaml_map(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_yaml_seq(node)
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


def _resolvers() -> Iterator[tuple[str, tuple[str, Any]]]:
    for first in "yYnNtTfFoO":
        yield first, (f"{_TAG}bool", scalars.TRUTH)
    for first in ("~", "n", "N", ""):
        yield first, (f"{_TAG}null", scalars.NOTHING)
    for first in "+-.0123456789":
        yield first, (f"{_TAG}float", scalars.NUMBER)
    yield "<", (_MERGE, yaml.CSafeLoader.yaml_implicit_resolvers["<"][0][1])


def _whole_match(pattern: Any) -> Any:
    return type("_Whole", (), {"match": staticmethod(pattern.fullmatch)})


_Loader.yaml_implicit_resolvers = {}
for _first, (_tag, _pattern) in _resolvers():
    _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_tag, _whole_match(_pattern)))
for _name in ("int", "float"):
    _Loader.add_constructor(f"{_TAG}{_name}", _number)
_Loader.add_constructor(f"{_TAG}bool", _truth)
_Loader.add_constructor(f"{_TAG}binary", _binary)
for _name in ("timestamp", "set", "omap", "pairs", "merge", "value"):
    _Loader.add_constructor(f"{_TAG}{_name}", _untagged)
_Loader.add_constructor(None, _untagged)


def load(text: str, source: str = "input", aliases: bool = True) -> list[dict[str, Any]]:
    """Return the mappings in a YAML or JSON text, one per document; empty documents are none.

    Raises `Invalid` with line and column where the text is broken, and with the field where JSON could not hold what
    stands there. Without `aliases` the text is untrusted: it may have none (some hundred bytes of them stand for more
    than fits into memory), one document, and no more values than are read in a moment.
    """
    text = text.removeprefix("\ufeff")
    try:
        found = json_documents(text)
        if found is None:
            found = _yaml_documents(text, aliases)
    except yaml.YAMLError as error:
        raise Invalid(source, [Problem("", _where(error))]) from error
    except RecursionError as error:
        raise Invalid(source, [Problem("", f"is nested deeper than {MAX_DEPTH} levels; flatten it")]) from error
    for item in found:
        if not isinstance(item, dict):
            raise Invalid(source, [Problem("", f"holds a {type(item).__name__} where a document is expected")])
        if (flaw := flaw_of(item, FILE)) is not None:
            raise Invalid(source, [flaw])
    return found


def _yaml_documents(text: str, aliases: bool) -> list[Any]:
    if not aliases:
        _require_modest(text)
    return [item for item in yaml.load_all(text, Loader=_Loader) if item is not None]


def _require_modest(text: str) -> None:
    """Make sure, event by event, that a text costs no more than its size: the parser itself takes the longer the deeper
    lists are nested."""
    depth = documents = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent):
            raise _unwanted(event, "aliases are not taken here")
        if depth > MAX_DEPTH:
            raise _unwanted(event, f"lists and mappings are nested deeper than {MAX_DEPTH} levels")
        if count > MOST_EVENTS:
            raise _unwanted(event, f"more than {MOST_EVENTS} values stand here; send JSON, or less")
        if documents > MOST_DOCUMENTS:
            raise _unwanted(event, f"more than {MOST_DOCUMENTS} documents stand here; send one")


def _unwanted(event: yaml.Event, problem: str) -> yaml.constructor.ConstructorError:
    mark: Any = event.start_mark
    return yaml.constructor.ConstructorError(None, None, problem, mark)


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"broken YAML{place}: {getattr(error, 'problem', None) or 'unreadable characters'}; correct the syntax"
