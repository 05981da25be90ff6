"""Documents that are valid, or nearly, held against the recorded answers of a real API server.

`e2e/scenarios/test_near_valid.py` records them, and asks again on each run.
"""

import pytest

from tests.support import near_valid

CASES = [*near_valid.every(), *near_valid.drawn(*near_valid.DRAWN)]
TAKEN = near_valid.taken()
VERDICTS = {case.name: near_valid.verdict(case) for case in CASES}


def test_there_are_enough_of_either_kind():
    accepted = [name for name, (problems, _) in VERDICTS.items() if not problems]
    assert len(accepted) >= 100 and len(VERDICTS) - len(accepted) >= 200 and VERDICTS.keys() >= TAKEN


def test_what_is_accepted_a_real_api_server_takes():
    assert [name for name, (problems, _) in VERDICTS.items() if not problems and name not in TAKEN] == []


def test_what_a_real_api_server_takes_is_accepted_but_for_known_reasons():
    strict = {name: problems for name, (problems, _) in VERDICTS.items() if problems and name in TAKEN}
    unknown = {
        name: problems
        for name, problems in strict.items()
        if not any(reason in problem for reason in near_valid.STRICTER for problem in problems)
    }
    assert unknown == {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name[:80])
def test_a_rejection_names_a_field_and_what_to_do(case: near_valid.NearValid):
    for problem in VERDICTS[case.name][0]:
        field, colon, message = problem.partition(": ")
        assert colon and field.startswith(("spec.", "metadata.")) and len(message) > 10
