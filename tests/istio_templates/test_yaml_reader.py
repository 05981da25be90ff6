"""Texts are read as kubectl reads them. The expected values are those of sigs.k8s.io/yaml 1.6.0, run over these texts."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import load, unlisted
from istio_templates.errors import Invalid
from istio_templates.yaml_text import yaml_text

SCALARS = {
    "=": "=", "y": True, "n": False, "on": True, "OFF": False, "oFF": "oFF", "tRue": "tRue", "~": None, "Null": None, "nULL": "nULL",
    "": None, "1:30": "1:30", "1:30:20": "1:30:20", "-1:30.5": "-1:30.5", "08": 8, "017": 15, "0o17": 15, "-0o7": -7, "0o8": "0o8",
    "1_000": 1000, "1__0": 10, "-_1": -1, "_1": "_1", "0x1F": 31, "0X1F": 31, "0x_1F": 31, "0x1p-2": "0x1p-2", "0b11": 3, "0B11": 3,
    "0b2": "0b2", "1e3": 1000, "1.5e3": 1500, "5e-5": 5e-5, "25921e05": 2592100000, "1.0": 1, "1.5": 1.5, "1.": 1, "+.5": 0.5,
    ".5_0": 0.5, ".5_": ".5_", "._5": "._5", "12e03": 12000, "+1": 1, "-0": 0, "1e400": "1e400", "1e-7": 1e-7,
    "99999999999999999999": 10**20, "18446744073709551615": 2**64 - 1, "0xFFFFFFFFFFFFFFFFFF": "0xFFFFFFFFFFFFFFFFFF",
    "2026-11-28": "2026-11-28", "2001-12-14 21:59:43.10": "2001-12-14 21:59:43.10", "<<": "<<", "!!str 3": "3", "!!int '3'": 3,
    "!!timestamp 2001-12-14": "2001-12-14", "!!binary aGVsbG8=": "hello", "!foo bar": "bar", "!foo {a: b}": {"a": "b"},
    "!!set {a, b}": {"a": None, "b": None}, "!!omap [a: 1]": [{"a": 1}], "[1,2,]": [1, 2], "{<<: {a: 1}, b: 2}": {"a": 1, "b": 2},
    "{1.5: a, true: x, 3: y}": {"1.5": "a", "true": "x", "3": True}, "{2026-01-01: a}": {"2026-01-01": "a"}, "{'': a}": {"": "a"},
    "{1e3: a}": {"1000": "a"}, "{y: a}": {"true": "a"}, "!!bool yes": True,
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_is_what_go_takes_it_for(text: str):
    (found,) = load(f"a: {text}\n")
    assert found == {"a": SCALARS[text]} and type(found["a"]) is type(SCALARS[text])


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "a"),
        ("x:\n  1: a\n  '1': b\n", "line 3, column 3", "1"),
        ("yes: a\ntrue: b\n", "line 2", "true"),
        ("1.0: a\n1: b\n", "line 2", "1"),
        ("0x10: a\n16: b\n", "line 2", "16"),
        ("a: 1\n---\nb: {c: 1, 'c': 2}\n", "line 3", "c"),
        ("<<: {a: 1}\n<<: {b: 1}\n", "line 2", "<<"),
        ("!!set {a, a}\n", "line 1", "a"),
        ('{"a": 1,\n\t"a": 2}', "line 2", "a"),
        ('{"a": {"b": 1,\n"\\u0062": 2}}', "line 2", "b"),
    ],
)
def test_keys_that_are_equal_once_they_are_read_are_refused_with_their_place(text: str, place: str, key: str):
    with pytest.raises(Invalid) as refused:
        load(text, "a.yaml")
    assert str(refused.value).startswith("a.yaml") and place in str(refused.value)
    assert f"key '{key}' stands twice" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: .inf", "no number of JSON"), ("a: .NaN", "quote it"), ("{~: a}", "a key is a text"), ("? [a]\n: b", "a key is a text"),
     ("a: !!binary /w==", "bytes that are no text"), ("a: !!map x", "mapping"), ("- a", "holds a list")],
)  # fmt: skip
def test_what_json_has_no_words_for_is_refused(text: str, said: str):
    with pytest.raises(Invalid, match=said):
        load(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\ufeffa: 1\n", [{"a": 1}]),
        ("---\n# nothing\n---\n\n---\na: 1\n---\n", [{"a": 1}]),
        ("%YAML 1.1\n---\na: 1\n...\n---\nb: 1\n", [{"a": 1}, {"b": 1}]),
        ('\ufeff {"a": 1}', [{"a": 1}]),
        ('{\n\t"a": "\\ud83d\\ude00\\/"\n}\n', [{"a": "\U0001f600/"}]),
        ('{"a": 1}\n{"b": 1.0}', [{"a": 1}, {"b": 1}]),
        ('{"a": 1}\n---\n{"b": 2}\n---\n', [{"a": 1}, {"b": 2}]),
        ('{"a": 1}\n---\nb: 2\n', [{"a": 1}, {"b": 2}]),
        ("{a: 1, b: [x]}\n", [{"a": 1, "b": ["x"]}]),
        ("a: 1\r\nb: 2\r\n", [{"a": 1, "b": 2}]),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: {<<: *x, b: 3}\n", [{"a": {"b": 1}, "c": {"b": 1, "d": 2}, "e": {"b": 3}}]),
        ("a: {<<: &x {<<: &y {p: 1}, p: 2}, q: *y}\nb: *x\n", [{"a": {"p": 2, "q": {"p": 1}}, "b": {"p": 2}}]),
        ("", []),
    ],
)  # fmt: skip
def test_texts_as_tools_write_them_are_read(text: str, found: list):
    assert load(text) == found


texts = st.text(max_size=8) | st.sampled_from(sorted(SCALARS))
values = st.recursive(
    st.one_of(texts, st.booleans(), st.none(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(texts, values, max_size=3))
def test_what_is_written_here_is_read_as_it_was(obj: dict):
    assert load(yaml_text([obj])) == [obj]
    assert load(json.dumps(obj)) == [obj]
    assert load(json.dumps(obj, indent="\t", ensure_ascii=False)) == [obj]


@given(st.from_regex(r"[-+]?[0-9a-fA-F_.xXoObBeE+-]{1,10}", fullmatch=True))
def test_whatever_looks_like_a_number_is_a_finite_one_or_a_text(text: str):
    try:
        (found,) = load(f"a: {text}\n")
    except Invalid:  # such as the mark of a list
        return
    assert isinstance(found["a"], str | list) or math.isfinite(found["a"])


MODEL = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Model", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (MODEL, [MODEL]),
        ({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [MODEL, MODEL]}, [MODEL, MODEL]),
        ({"kind": "List", "items": []}, []),
        ({"kind": "ModelList", "apiVersion": MODEL["apiVersion"], "items": [{"metadata": {"name": "a"}}]}, [MODEL]),
        ({"kind": "List", "items": [{"kind": "ModelList", "items": [MODEL]}]}, [MODEL]),
        ({"kind": "AllowList", "spec": {}}, [{"kind": "AllowList", "spec": {}}]),
        ({"items": [MODEL]}, [{"items": [MODEL]}]),
    ],
)  # fmt: skip
def test_lists_are_read_as_what_they_hold(raw: dict, found: list):
    assert unlisted(raw) == found


def test_a_list_that_holds_no_object_is_refused():
    with pytest.raises(Invalid, match="hold 'x' where an object is expected"):
        unlisted({"kind": "List", "items": ["x"]})
