"""Kubernetes' quantities: `100m`, `1Gi`, `2e3`."""

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_SCALE: dict[str, Fraction | int] = {"m": Fraction(1, 1000), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
          "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}  # fmt: skip


def quantity(value: object) -> Fraction | None:
    """Return the figure in a quantity; None where there is none."""
    found = (
        _QUANTITY.fullmatch(str(value))
        if isinstance(value, str | int | float) and not isinstance(value, bool)
        else None
    )
    if found is None or found[1].count(".") > 1 or found[1] == ".":
        return None
    return Fraction(found[1]) * Fraction(_SCALE.get(found[2], 1))
