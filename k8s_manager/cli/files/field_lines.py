"""In which line of a file a field of a document stands."""

import re
from collections.abc import Sequence

import yaml

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def line_of(text: str, document: int, item: int | None, field: str) -> int | None:
    """Return the line, from 1, of a field such as `spec.routes[0].path` in a document of a text, by its number from 0;
    of a list the `item` by its number. Where the field itself is missing it is the line of what should hold it; None
    where the text cannot be read as YAML."""
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if not _is_empty(node)]
    except (yaml.YAMLError, ValueError):
        return None
    if document >= len(nodes):
        return None
    node, steps = nodes[document], [number or name for number, name in _STEP.findall(field)]
    if item is not None:
        steps = ["items", str(item), *steps]
    return _line(node, steps)


def _line(node: yaml.Node, steps: Sequence[str]) -> int:
    line = node.start_mark.line + 1
    for step in steps:
        found = _below(node, step)
        if found is None:
            break
        line, node = found
    return line


def _below(node: yaml.Node, step: str) -> tuple[int, yaml.Node] | None:
    """Return the line of a key, or of an element by its number, and what stands there."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        value = node.value[int(step)]
        return value.start_mark.line + 1, value
    return None


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~")
