"""JSONPath in kubectl's dialect; the expected texts are what kubectl prints for the same object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.errors import Invalid
from k8s_manager.cli.jsonpath import Template

POD = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "ready": True, "n": 1},
        {"metadata": {"name": "b", "labels": {}}, "ready": False, "n": 2.5, "note": "c d"},
        {"metadata": {"name": "c"}, "ready": False, "n": 30, "note": None},
    ],
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Limited", "status": "False"}]},
}
EXPECTED = {
    "{.kind}": "List",
    ".kind": "List",
    "kind": "List",
    "{$.kind}": "List",
    "{.items[*].metadata.name}": "a b c",
    "{.items[0].metadata.name}": "a",
    "{.items[-1].metadata.name}": "c",
    "{.items[0:2].metadata.name}": "a b",
    "{.items[::2].metadata.name}": "a c",
    "{.items[0,2].metadata.name}": "a c",
    "{.items[0]['metadata']['name']}": "a",
    "{.items[0].metadata['name','labels']}": 'a {"app.kubernetes.io/name":"x"}',
    r"{.items[0].metadata.labels.app\.kubernetes\.io/name}": "x",
    "{..name}": "a b c",
    "{.items..name}": "a b c",
    '{.status.conditions[?(@.type=="Ready")].status}': "True",
    "{.status.conditions[?(@.type=='Limited')].status}": "False",
    "{.items[?(@.n>2)].metadata.name}": "b c",
    "{.items[?(@.n <= 2.5)].metadata.name}": "a b",
    "{.items[?(@.ready==true)].metadata.name}": "a",
    '{.items[?(@.metadata.name!="a")].n}': "2.5 30",
    "{.items[?(@.note)].metadata.name}": "b c",
    '{range .items[*]}{.metadata.name}{"\\t"}{.ready}{"\\n"}{end}': "a\ttrue\nb\tfalse\nc\tfalse\n",
    "names: {.items[*].metadata.name}!": "names: a b c!",
    "{.kind} {.items[0].n}": "List 1",
    "{.kind .items[0].n}": "List1",
    "{.nothing.there}": "",
    "{.items[9].n}": "",
    "{.items[2].note}": "<nil>",
    "{.items[*].metadata.labels.*}": "x",
    "{'}'}": "}",
    "{@}": json.dumps(POD, separators=(",", ":")),
    "{.}": json.dumps(POD, separators=(",", ":")),
}


@pytest.mark.parametrize("text", EXPECTED)
def test_a_template_prints_what_kubectl_prints(text: str):
    assert Template(text).render(POD) == EXPECTED[text]


@pytest.mark.parametrize(
    "text",
    ["{.a", "{.a[}", "{.a[x]}", "{range .items[*]}{.a}", "{end}", "{}", '{"a}', "{.a[?(@.b==c)]}", "{.a[?@.b]}",
     "{.a[?(@.b==1 && @.c==2)]}", "{.a=b}", "{.a[1:2:0]}", "{.a(b)}"],
)  # fmt: skip
def test_a_template_that_is_none_is_told_with_its_place(text: str):
    with pytest.raises(Invalid) as error:
        Template(text)
    assert repr(text) in error.value.subject and "such as {.a[0].b}" in str(error.value.problems[0])


@given(st.text())
def test_any_text_is_read_or_refused(text: str):
    try:
        found = Template(text)
    except Invalid:
        return
    assert isinstance(found.render(POD), str)


names = st.text(st.characters(categories=["L", "N"]), min_size=1)


@given(st.dictionaries(names, st.text(), min_size=1), st.data())
def test_each_field_is_found_by_each_of_its_spellings(fields: dict[str, str], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(fields)))
    quoted = json.dumps(name, ensure_ascii=False)
    assert {Template(f"{{.{name}}}").render(fields), Template(f"{{[{quoted}]}}").render(fields)} == {fields[name]}


def test_a_path_gives_values_too():
    assert Template("{.items[*].n}").values(POD) == [1, 2.5, 30]
