"""Documents that are valid, or nearly, held against the recorded answers of a real API server.

`e2e/scenarios/test_near_valid.py` records them, and asks again on each run.
"""

from functools import cache

import pytest

from tests.support import near_valid

pytestmark = pytest.mark.xdist_group("near-valid")  # one worker finds out what all these tests look at


@cache
def problems() -> dict[str, list[str]]:
    """Return why Tidegate rejects each document, by its name."""
    cases = [*near_valid.every(), *near_valid.drawn(*near_valid.DRAWN)]
    return {case.name: near_valid.verdict(case)[0] for case in cases}


def test_there_are_enough_of_either_kind():
    accepted = [name for name, found in problems().items() if not found]
    assert len(accepted) >= 100 and len(problems()) - len(accepted) >= 200
    assert problems().keys() >= near_valid.taken()


def test_what_is_accepted_a_real_api_server_takes():
    taken = near_valid.taken()
    assert [name for name, found in problems().items() if not found and name not in taken] == []


def test_what_a_real_api_server_takes_is_accepted_but_for_known_reasons():
    taken = near_valid.taken()
    strict = {name: found for name, found in problems().items() if found and name in taken}
    unknown = {
        name: found
        for name, found in strict.items()
        if not any(reason in problem for reason in near_valid.STRICTER for problem in found)
    }
    assert unknown == {}


def test_a_rejection_names_a_field_and_what_to_do():
    assert [(name, problem) for name, found in problems().items() for problem in found if not is_helpful(problem)] == []


def is_helpful(problem: str) -> bool:
    field, colon, message = problem.partition(": ")
    return bool(colon) and field.startswith(("spec.", "metadata.")) and len(message) > 10
