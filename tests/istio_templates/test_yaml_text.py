"""What is written here is, byte for byte, what PyYAML writes, and reads back as it was; only that texts which another
reader takes for something else are quoted (`test_yaml_scalars.py` says which)."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from istio_templates.yaml_scalars import is_ambiguous
from istio_templates.yaml_text import WIDTH, yaml_text
from tests.golden.case import CASES, rendered


class _Library(yaml.CSafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _quoted(dumper: _Library, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if is_ambiguous(text) else None)


_Library.add_representer(str, _quoted)


def by_library(objects: list) -> str:
    return yaml.dump_all(objects, Dumper=_Library, sort_keys=False, width=WIDTH)


ODD = ["", " ", "yes", "No", "y", "null", "~", "1", "1.5", "0x10", "1e3", "2026-11-22", "12:30", "-", "- a", "a: b", "a #b", "#",
       "*", "&a", "!t", "%", "@x", "`", "{", "[a]", "a,b", "'", '"', "\\", "a\nb", "\t", "é", "\u2028", "\x7f", "=", "<<", "?",
       "word " * 40, "x" * 300, "on", ".5", "_1", "/a/b", "a b", "a:", ":a", "trailing ", "0", "+1", "tRue", "NULL"]  # fmt: skip
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=30), st.from_regex(r"[a-z0-9./:_-]{1,140}", fullmatch=True))
values = st.recursive(
    st.one_of(texts, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=500)
@given(st.lists(st.dictionaries(texts, values, min_size=1, max_size=4), max_size=3))
def test_whatever_there_is_to_write_is_written_as_the_library_does(objects: list):
    text = yaml_text(objects)
    assert text == by_library(objects)
    assert list(yaml.load_all(text, Loader=yaml.CSafeLoader)) == objects


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_stay_texts(text: str):
    obj = {"key": text, "list": [text, [text]], "deep": [{"a": {"b": text}}], text: "as a key"}
    assert yaml_text([obj]) == by_library([obj])


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_is_written_as_the_library_does(case: str):
    assert yaml_text(rendered(case)) == by_library(rendered(case))


class Answer(dict):
    """What the command line has from the manager: a dict of a type of its own."""


@pytest.mark.parametrize("text", ["a plain one", "Müller", "so long that it is folded, " * 6])
def test_a_mapping_of_another_type_is_written_as_any_other(text):
    obj = Answer(kind="Tenant", spec=Answer(displayName=text, hosts=[Answer(name="a.example.com")]))
    plain = {"kind": "Tenant", "spec": {"displayName": text, "hosts": [{"name": "a.example.com"}]}}
    assert yaml_text([obj]) == yaml_text([plain])
