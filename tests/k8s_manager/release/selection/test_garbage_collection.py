"""What may be removed: old versions that nothing uses, the oldest first."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.release.selection.garbage_collection import RetentionRules, versions_to_remove
from k8s_manager.release.selection.version_facts import ModelVersionFact, VersionPin
from tests.k8s_manager.release.selection.facts import DAY, NOW

RULES = RetentionRules(keep=2, older_than=30 * DAY)


def aged(name: str, days: float, **more) -> ModelVersionFact:
    return ModelVersionFact(name, NOW - days * DAY, **more)


OLD = [aged(f"v{number}", 100 - number) for number in range(1, 6)]


def test_all_but_the_last_go_once_they_are_old_enough():
    assert versions_to_remove(RULES, OLD[::-1], (), NOW) == ("v1", "v2", "v3")
    assert versions_to_remove(RULES, [*OLD, aged("v6", 29), aged("v7", 1)], (), NOW) == ("v1", "v2", "v3", "v4", "v5")
    assert versions_to_remove(RULES, [aged("v1", 30), aged("v2", 5), aged("v3", 1)], (), NOW) == ()


@pytest.mark.parametrize(
    "kept",
    [
        {"pinned": VersionPin("ann", NOW)},
        {"pinned": VersionPin("ann", NOW, ends=NOW)},
        {"aliases": frozenset({"champion"})},
    ],
)
def test_what_is_pinned_or_has_an_alias_stays(kept):
    assert versions_to_remove(RULES, [replace(OLD[0], **kept), *OLD[1:]], (), NOW) == ("v2", "v3")


def test_what_is_used_stays():
    assert versions_to_remove(RULES, OLD, {"v2"}, NOW) == ("v1", "v3")


def test_versions_of_one_age_go_by_the_order_of_their_names():
    assert versions_to_remove(RULES, [aged(name, 50) for name in ("v10", "v9", "v8", "v11")], (), NOW) == ("v8", "v9")


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"older_than": -DAY}])
def test_rules_that_would_remove_everything_are_rejected(wrong):
    with pytest.raises(ValueError, match="write"):
        RetentionRules(**wrong)


ages = st.lists(st.integers(0, 200), max_size=12)


@given(ages, st.integers(1, 5), st.integers(0, 100), st.sets(st.integers(0, 11)))
def test_removing_again_removes_nothing_more_and_never_what_is_used_or_young(days, keep, older, used):
    rules, names = RetentionRules(keep, timedelta(days=older)), {f"v{number}" for number in used}
    versions = [aged(f"v{number}", age) for number, age in enumerate(days)]
    gone = versions_to_remove(rules, versions, names, NOW)
    left = [version for version in versions if version.name not in gone]
    assert not names & set(gone) and len(left) >= min(keep, len(versions))
    assert all(NOW - version.created > rules.older_than for version in versions if version.name in gone)
    assert versions_to_remove(rules, left, names, NOW) == ()
