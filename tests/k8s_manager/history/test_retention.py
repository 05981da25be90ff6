"""Which histories of deleted documents are dropped."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.history.retention import KEPT_DELETED, KEPT_FOR, expired
from k8s_manager.history.revision import ChangeAuthor, deletion, is_deletion, revision, uid_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
BY = ChangeAuthor("anna")


def history_of(number: int, days: int | None, kind: str = "Model", namespace: str = "search") -> list[dict]:
    """Return the revisions of a document that was deleted so many days ago, or not."""
    metadata = {"name": f"m{number}", "uid": f"{number:08x}-{kind}-{namespace}", "generation": 3}
    made = revision({"apiVersion": "x", "kind": kind, "metadata": metadata, "spec": {}}, BY, namespace)
    made["metadata"]["creationTimestamp"] = (NOW - timedelta(days=400)).isoformat()
    if days is None:
        return [made]
    end = deletion(made, BY)
    end["metadata"]["creationTimestamp"] = (NOW - timedelta(days=days)).isoformat()
    return [end, made]


@given(st.lists(st.none() | st.integers(0, 60), max_size=120))
def test_living_documents_keep_theirs_and_the_others_by_age_and_number(ages):
    found = [obj for number, days in enumerate(ages) for obj in history_of(number, days)]
    going = {uid_of(obj) for obj in expired(found, NOW)}
    deleted = {uid_of(obj) for obj in found if is_deletion(obj)}
    young = {
        uid_of(obj)
        for obj in found
        if is_deletion(obj) and NOW - datetime.fromisoformat(obj["metadata"]["creationTimestamp"]) <= KEPT_FOR
    }
    assert going <= deleted
    assert deleted - going <= young
    assert len(deleted - going) == min(len(young), KEPT_DELETED)


def test_a_kind_or_a_namespace_takes_no_place_of_another():
    found = [
        obj
        for number in range(KEPT_DELETED)
        for kind, namespace in (("Model", "search"), ("Model", "ads"), ("LimitOverride", "search"))
        for obj in history_of(number, 1, kind, namespace)
    ]
    assert not expired(found, NOW)
    assert {uid_of(obj) for obj in expired([*found, *history_of(999, 2)], NOW)} == {"000003e7-Model-search"}


def test_the_deletion_goes_last_so_that_an_interrupted_clean_up_is_finished():
    going = expired([*history_of(1, 40), *history_of(2, 50)], NOW)
    assert [is_deletion(obj) for obj in going] == [False, False, True, True]
    assert expired(going[1:], NOW) == going[1:]
