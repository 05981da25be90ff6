import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.cli.advice import in_options
from k8s_manager.cli.files.document_files import Reading
from k8s_manager.cli.files.field_lines import line_of

TEXT = """\
kind: Tenant
metadata:
  name: search
---
# a comment

kind: Model
spec:
  routes:
  - host: a
    path: /x
  - {host: b, path: /y}
"""


@pytest.mark.parametrize(
    ("document", "field", "line"),
    [
        (0, "kind", 1),
        (0, "metadata.name", 3),
        (1, "spec.routes[0].path", 11),
        (1, "spec.routes[1].path", 12),
        (1, "spec.routes[7].path", 9),
        (1, "spec.rateLimit.floor", 8),
        (1, "", 7),
        (2, "kind", None),
    ],
)
def test_the_line_of_a_field_is_found_or_that_of_what_should_hold_it(document, field, line):
    assert line_of(TEXT, document, None, field) == line


def test_items_of_lists_and_json_have_lines_too():
    text = "kind: List\nitems:\n- kind: Model\n- kind: Tenant\n  spec:\n    hosts: []\n"
    assert line_of(text, 0, 1, "spec.hosts") == 6
    assert line_of('{"kind": "Model",\n "spec": {\n  "routes": []}}', 0, None, "spec.routes") == 3
    assert line_of("a: [", 0, None, "a") is None


names = st.text("abcdef", min_size=1, max_size=4)
trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(names, inner, min_size=1) | st.lists(inner, min_size=1), max_leaves=12
)


@given(st.dictionaries(names, trees, min_size=1))
def test_every_leaf_stands_in_the_line_that_is_found(tree):
    text = yaml.safe_dump(tree, default_flow_style=False)
    lines = text.splitlines()

    def look(value, path):
        if isinstance(value, dict):
            for key, below in value.items():
                look(below, f"{path}.{key}" if path else key)
        elif isinstance(value, list):
            for number, below in enumerate(value):
                look(below, f"{path}[{number}]")
        else:
            assert lines[line_of(text, 0, None, path) - 1].endswith(str(value))

    look(tree, "")


def test_a_place_knows_its_file_its_number_and_its_lines(tmp_path):
    (tmp_path / "a.yaml").write_text(TEXT)
    _, (place, _) = list(Reading().placed([str(tmp_path)]))
    assert place.at("spec.routes[0].host") == f"{tmp_path}/a.yaml (document 2), line 10"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("is in use by Model ranker; delete them first, or say ?cascade=true", "or add --cascade"),
        ("the limit would fall from 80/s to 40/s; send force=true to accept that", "add --force to accept that"),
        ("read it and send its ETag as If-Match, or If-Match: * to overwrite it unseen", "run the command again"),
        ('send {"replicas": N} with a whole number from 0 on', "give a whole number from 0 on"),
        ("plan it with ?dryRun=true", "plan it with --dry-run"),
        ("no bearer token; send 'Authorization: Bearer TOKEN'", "run tidegate login SERVER once, or give --token-file"),
    ],
)
def test_advice_is_in_options(said, words):
    assert in_options(said).endswith(words)
    assert not any(sign in in_options(said) for sign in ("=true", "If-Match", "{", "?", "Authorization"))
