"""`python -m tests.faults`: try every plan of every row, or replay one.

python -m tests.faults run [R1 R4 ...]     all plans of all rows, or of some; writes docs/reliability.md
python -m tests.faults replay PLAN         one plan, such as R1/tenant-move/kill:before:7
"""

import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from types import ModuleType

from tests.faults import table
from tests.faults.known import is_listed, may_fail, stale_patterns
from tests.faults.rows import ROWS, row_of
from tests.faults.verdict import Verdict

SHOWN_EVERY = 10.0


def main() -> int:
    """Do what the command line says; return the exit status."""
    match sys.argv[1:]:
        case ["replay", plan]:
            logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
            return _told(plan, row_of(plan).run(plan))
        case ["run", *names]:
            logging.basicConfig(level=logging.CRITICAL)
            return _tried([row for row in ROWS if not names or row.NAME in names])
    print(__doc__)
    return 2


def _told(plan: str, verdict: Verdict) -> int:
    print(plan, "as the reference" if not verdict.problems else "", *verdict.problems, sep="\n  ")
    return bool(verdict.problems)


def _tried(rows: list[ModuleType]) -> int:
    wrong = 0
    lines = {}
    for row in rows:
        verdicts = verdicts_of(row, row.plans())
        lines[row.NAME] = table.row_line(row, verdicts)
        table.write(lines)
        failed = {plan for plan, verdict in verdicts.items() if verdict.problems}
        stale = stale_patterns(failed, verdicts.keys() - failed)
        print(*(f"{line}: all its plans pass: remove it from tests/faults/known.txt" for line in stale), sep="\n")
        wrong += len(surprises(verdicts)) + len(stale)
        if len(verdicts) < row.AT_LEAST:
            print(f"{row.NAME}: only {len(verdicts)} plans, at least {row.AT_LEAST} are wanted")
            wrong += 1
    return bool(wrong)


def verdicts_of(row: ModuleType, plans: list[str]) -> dict[str, Verdict]:
    """Run plans side by side, and print how far that is and each surprise."""
    found, shown = {}, time.monotonic()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for plan, verdict in zip(plans, pool.map(verdict_of, plans, chunksize=4), strict=True):
            found[plan] = verdict
            for text in surprises({plan: verdict}):
                print(text, flush=True)
            if time.monotonic() - shown > SHOWN_EVERY:
                shown = time.monotonic()
                print(f"{row.NAME}: {len(found)} of {len(plans)} plans", flush=True)
    print(f"{row.NAME}: {len(found)} plans, {sum(not v.problems for v in found.values())} as the reference", flush=True)
    return found


def verdict_of(plan: str) -> Verdict:
    """Run a plan; one that ends with an error has failed, and the others go on."""
    try:
        verdict: Verdict = row_of(plan).run(plan)
    except Exception as error:
        return Verdict((f"it ended with {type(error).__name__}: {error}",))
    return verdict


def surprises(verdicts: dict[str, Verdict]) -> list[str]:
    """Return a text for each plan that failed without being known for it, and for each known one that passed."""
    out = []
    for plan, verdict in verdicts.items():
        if verdict.problems and not may_fail(plan):
            out.append("\n    ".join([f"{plan}: replay it: python -m tests.faults replay '{plan}'", *verdict.problems]))
        elif not verdict.problems and is_listed(plan):
            out.append(f"{plan} passes: remove it from tests/faults/known.txt")
    return out


if __name__ == "__main__":
    sys.exit(main())
