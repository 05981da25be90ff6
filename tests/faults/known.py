"""Plans that fail for a known reason: a line each in `known.txt`, with the kind of fault. One that passes is removed."""

from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "known.txt"


@cache
def known() -> dict[str, str]:
    """Return the kind of fault of every plan that is known to fail."""
    lines = [line.split() for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    return {plan: kind for kind, plan in lines}
