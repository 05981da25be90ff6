"""The table of `docs/reliability.md`, from the verdicts of a whole run."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from tests.faults.known import may_fail
from tests.faults.verdict import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: make faults writes this table -->", "<!-- end of faults -->"
HEAD = "| row | what is tried | plans | as the reference | known | largest figures |\n|---|---|---|---|---|---|"


def row_line(row: ModuleType, verdicts: Mapping[str, Verdict]) -> str:
    """Return the line of one row."""
    failed = {plan for plan, verdict in verdicts.items() if verdict.problems}
    figures: dict[str, float] = {}
    for verdict in verdicts.values():
        for name, value in verdict.figures.items():
            figures[name] = max(value, figures.get(name, value))
    shown = "; ".join(f"{name} {value:.3g}" for name, value in figures.items())
    among = sum(map(may_fail, failed))
    return f"| {row.NAME} | {row.TITLE} | {len(verdicts)} | {len(verdicts) - len(failed)} | {among} | {shown} |"


def write(lines: Mapping[str, str]) -> None:
    """Write lines into the table on the page; those of other rows stay."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    kept = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| R")}
    merged = kept | dict(lines)
    body = "\n".join(merged[name] for name in sorted(merged))
    PAGE.write_text(f"{before}{BEGIN}\n{HEAD}\n{body}\n{END}{after}")
