"""What a commit says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import ObjectKey
from k8s_manager.gitops.commit_message import OURS, author, message, owners
from k8s_manager.gitops.tree_diff import TreeDiff
from k8s_manager.history.revision import ChangeAuthor

FOUND = TreeDiff((("tenants/search/ranker/service_search_ranker.yaml", None, "a"), ("tenants/ads/b.yaml", "b", None)))
RANKER = ObjectKey("Model", "search", "ranker")


def test_a_message_names_documents_people_and_reasons():
    said = message(FOUND, {RANKER: ChangeAuthor("ada", "more users", "OPS-7"), ObjectKey("Tenant", "", "ads"): None})
    assert said == (
        "search/ranker, ads: 1 files written, 1 removed\n\n"
        "Model search/ranker: by ada: [OPS-7] more users\nTenant ads: deleted\n"
    )
    said = message(FOUND, {RANKER: ChangeAuthor("ada", "retired")}, deleted={RANKER})
    assert said.endswith("\n\nModel search/ranker: deleted by ada: retired\n")
    assert "last changed by ada" in message(FOUND, {RANKER: ChangeAuthor("ada")}, known=False)
    assert message(FOUND, {}) == (
        "ads, search/ranker: 1 files written, 1 removed\n\n"
        "No document has changed: this follows from what is in the cluster.\n"
    )
    assert message(TreeDiff((("mark.yaml", None, "a"),)), {}).startswith("The tree: 1 files written, 0 removed\n")


def test_a_message_of_many_documents_is_cut():
    changes = {ObjectKey("Model", "search", f"m{number:02d}"): ChangeAuthor("ada") for number in range(30)}
    lines = message(FOUND, changes).splitlines()
    assert lines[0].startswith("search/m00, search/m01, search/m02 and 27 more: ") and lines[-1] == "and 10 more"


@given(st.text(), st.text(), st.text())
def test_nobodys_words_make_another_line_or_another_author(by: str, reason: str, ticket: str):
    change = ChangeAuthor(by, reason, ticket)
    assert len(message(FOUND, {RANKER: change}).splitlines()) == 3
    name, _, rest = author([change]).partition(" <")
    assert rest in (">", "tidegate@localhost>") and not set("<>\n\r\0") & set(name)
    f"{name}".encode()


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        ([ChangeAuthor("ada"), ChangeAuthor("ada", "again"), None], "ada <>"),
        ([ChangeAuthor("ada"), ChangeAuthor("bob")], OURS),
        ([None], OURS),
        ([], OURS),
        ([ChangeAuthor("<>\n")], OURS),
    ],
)
def test_the_author_is_who_made_all_of_it(changes: list[ChangeAuthor | None], who: str):
    assert author(changes) == who


def test_files_say_whose_they_are():
    paths = (
        "kustomization.yaml", "rules/flux.yaml", "tenants/search/kustomization.yaml", "gateways/shared/a.yaml",
        "tenants/search/a.yaml", "tenants/search/ranker/a.yaml", "runtime/tenants/ads/x/a.yaml", "runtime/documents/a.yaml",
    )  # fmt: skip
    found = owners(TreeDiff(tuple((path, None, "") for path in paths)))
    assert found == [("", "ads", "x"), ("", "search", ""), ("", "search", "ranker"), ("shared", "", "")]
