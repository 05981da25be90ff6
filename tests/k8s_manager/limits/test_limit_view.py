"""A view and its mark are made of the same facts, so that neither can say what the other does not know."""

from dataclasses import fields

from k8s_manager.limits.limit_view import LimitFacts, LimitView


def test_a_mark_holds_all_of_a_view_that_does_not_move_with_the_clock():
    names = [field.name for field in fields(LimitView)]
    assert tuple(names[: len(LimitFacts._fields)]) == LimitFacts._fields
    assert set(names) - set(LimitFacts._fields) == {"since", "pending", "due_in", "last_seen", "own"}
