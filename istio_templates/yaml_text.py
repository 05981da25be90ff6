"""Manifests as YAML: block style, keys in the order in which they were rendered, no anchors.

Whole trees are written this way, and PyYAML takes a millisecond for every five objects. What is plain (nearly all) is
therefore written here, byte for byte as PyYAML would; whatever could be folded, quoted or escaped is left to it. What
another reader than PyYAML could take for no text is quoted (`istio_templates/yaml_scalars.py`).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import yaml

from istio_templates.facts import Manifest
from istio_templates.yaml_scalars import is_ambiguous

WIDTH = 120
_SAFE = 100
"""A text with spaces that ends before this column is never folded."""
_LONGEST_KEY = 100
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_INDENTS = tuple("  " * depth for depth in range(64))


class _Dumper(yaml.CSafeDumper):
    """Writes what is shared twice instead of pointing to it: people read these files."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Never point."""
        return True


def _text_node(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if is_ambiguous(text) else None)


_Dumper.add_representer(str, _text_node)
_Dumper.add_multi_representer(dict, yaml.CSafeDumper.represent_dict)  # answers have a type of their own


class _NotPlainError(Exception):
    """Something in an object that PyYAML had better write."""


def yaml_text(objects: Iterable[Manifest]) -> str:
    """Return manifests as one YAML text."""
    return "---\n".join(map(_one, objects))


def _one(obj: Manifest) -> str:
    out: list[str] = []
    try:
        _value(obj, 0, "", out)
    except _NotPlainError:
        return _by_library(obj)
    return "".join(out)


def _by_library(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=WIDTH)
    return text


def _value(value: Any, depth: int, head: str, out: list[str]) -> None:
    """Write a value behind its `head` (a key or a dash, which may be several), at `depth` levels of two spaces."""
    if depth + 1 >= len(_INDENTS):
        raise _NotPlainError
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if not isinstance(key, str) or len(key) > _LONGEST_KEY:
                raise _NotPlainError
            _under(f"{head}{_text(key)}:", inner, depth, out)
            head = _INDENTS[depth]
    elif isinstance(value, list) and value:
        for inner in value:
            _value(inner, depth + 1, f"{head}- ", out)
            head = _INDENTS[depth]
    else:
        out.append(f"{head}{_scalar(value, len(head))}\n")


def _under(head: str, value: Any, depth: int, out: list[str]) -> None:
    """Write a value under a key: what has parts begins on the next line, a list at the key's own column."""
    if isinstance(value, dict) and value:
        out.append(f"{head}\n")
        _value(value, depth + 1, _INDENTS[depth + 1], out)
    elif isinstance(value, list) and value:
        out.append(f"{head}\n")
        _value(value, depth, _INDENTS[depth], out)
    else:
        out.append(f"{head} {_scalar(value, len(head) + 1)}\n")


def _scalar(value: Any, column: int) -> str:
    if isinstance(value, str):
        text = _text(value)
        if " " in value and column + len(text) > _SAFE:
            raise _NotPlainError
        return text
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int:
        return str(value)
    if value is None:
        return "null"
    if value == {} or value == []:
        return "{}" if isinstance(value, dict) else "[]"
    raise _NotPlainError


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not is_ambiguous(text):
        return text
    return _quoted(text)


@lru_cache(10_000)
def _quoted(text: str) -> str:
    """Return a text as the library writes it on one line, quoted where it must be."""
    found = _by_library([text])
    if not (text.isascii() and text.isprintable()) or found.count("\n") > 1 or len(found) > _SAFE:
        raise _NotPlainError
    return found[2:-1]
