"""Texts stay texts for every reader of YAML: 1.1 (PyYAML), 1.2 core, and Go's (kubectl, kustomize).

The rules of those readers are written down here once more, from their specifications, and not taken from the code.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from istio_templates.yaml_scalars import is_ambiguous
from istio_templates.yaml_text import yaml_text

# https://yaml.org/type/
YAML_1_1 = re.compile(
    r"[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+"
    r"|[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|~|null|Null|NULL||=|<<"
    r"|y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"
)
# https://yaml.org/spec/1.2.2/#103-core-schema
YAML_1_2 = re.compile(
    r"null|Null|NULL|~||true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
)
# strconv.ParseInt(text, 0, 64) and strconv.ParseFloat, of what is left without underscores (go.yaml.in/yaml, resolve.go)
GO = re.compile(
    r"[-+]?(?:0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|[0-9]+)|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
GO_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?.*)?")


def is_read_as_another_by_any(text: str) -> bool:
    if YAML_1_1.fullmatch(text) or YAML_1_2.fullmatch(text) or GO_DATE.fullmatch(text):
        return True
    return text[:1] in "+-.0123456789" and GO.fullmatch(text.replace("_", "")) is not None


ROOT = Path(__file__).parents[2]
MANIFESTS = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "manifests").rglob("*.yaml"))
ODD = ["25921e05", "1e3", "0o17", "1_000", "5e-5", "=", "yes", "1:30", ".inf", "0x1F", "~", "2026-11-28", "2026-1-2", "08", "0X1F",
       "0B11", "+.5", "-_1", "._5", "y", "N", "<<", "70136e6", "1.", "1.e3", "-0o7", "12e03", "-.INF", "0:30", "190:20:30.15", "",
       "2001-12-14 21:59:43.10 -5", "2001-12-14t21:59:43Z", "null", "1__0", "0x_1F", "0x_", "-0b_", "+0x__", "1e999", "0_7", "+1", ".5e3"]  # fmt: skip
texts = st.one_of(
    st.sampled_from(ODD),
    st.from_regex(r"[-+]?[0-9a-fA-F_.:oOxXeEbBpP+-]{0,12}", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9:. Z+-]{0,12})?", fullmatch=True),
    st.sampled_from(["true", "NULL", "nan", ".Inf", "On", "oFF", "Y", "no"]).map(str.swapcase),
    st.text(max_size=12),
)


@settings(max_examples=2000)
@given(texts)
@example("1e3")
def test_what_any_reader_takes_for_another_is_ambiguous(text: str):
    assert is_ambiguous(text) or not is_read_as_another_by_any(text)


@settings(max_examples=1000)
@given(st.lists(texts, min_size=1, max_size=4), st.dictionaries(texts, texts, min_size=1, max_size=4))
def test_nothing_ambiguous_is_written_plainly_as_a_value_or_a_key(items: list[str], pairs: dict[str, str]):
    text = yaml_text([{"list": items, "pairs": pairs, "deep": [{"a": pairs}, items]}])
    plain = [
        e.value for e in yaml.parse(text, Loader=yaml.CSafeLoader) if isinstance(e, yaml.ScalarEvent) if not e.style
    ]
    assert [value for value in plain if is_read_as_another_by_any(value)] == []


@pytest.mark.parametrize("text", ODD)
def test_an_ambiguous_text_is_quoted(text: str):
    assert yaml_text([{"key": text}]) == f"key: '{text}'\n"
    assert yaml_text([{text: "value"}]) == f"'{text}': value\n"


@pytest.mark.parametrize(
    "text", ["10m", "96Mi", "v1", "1.2.3", "10.0.0.1", "a1e3", "http-8080", "8080/TCP", "5s", "1:30pm", "e5", "_1", "yesterday", "0b2"]
)  # fmt: skip
def test_what_every_reader_takes_for_a_text_stays_plain(text: str):
    assert yaml_text([{"key": text}]) == f"key: {text}\n"


@pytest.mark.parametrize("value", [1, -5, 10**15, 0.5, 1e300, 1e-7, True, False, None])
def test_what_is_no_text_is_not_quoted(value: object):
    assert "'" not in yaml_text([{"key": value}])


def plain_texts(node: yaml.Node) -> Iterator[str]:
    """Yield what stands without quotes and is a text for PyYAML."""
    if isinstance(node, yaml.ScalarNode):
        yield from [node.value] if not node.style and node.tag.endswith(":str") else []
        return
    for inner in node.value:
        for part in inner if isinstance(inner, tuple) else (inner,):
            yield from plain_texts(part)


@pytest.mark.parametrize("file", MANIFESTS)
def test_what_is_installed_is_read_alike_by_all(file: str):
    nodes = yaml.compose_all((ROOT / file).read_text(), Loader=yaml.CSafeLoader)
    assert [text for node in nodes for text in plain_texts(node) if is_read_as_another_by_any(text)] == []
