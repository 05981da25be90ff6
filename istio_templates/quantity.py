"""Kubernetes' quantities: `100m`, `1Gi`, `2e3`.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from fractions import Fraction

# Bounded, so that a text costs no more than its size: Kubernetes itself caps a quantity at 2^63 - 1.
_QUANTITY = re.compile(r"([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def quantity(value: object) -> Fraction | None:
    """Return the figure in a quantity; None where there is none, or more digits than any quantity needs."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    found = _QUANTITY.fullmatch(str(value)) if not isinstance(value, int) or abs(value) < 2**64 else None
    return Fraction(found[1]) * _scale(found[2], found[3]) if found else None


def is_same_quantity(one: object, other: object) -> bool:
    """Tell whether two values are quantities of the same figure."""
    return (figure := quantity(one)) is not None and figure == quantity(other)


def _scale(exponent: str | None, suffix: str | None) -> Fraction:
    if suffix in _BINARY:
        return Fraction(2 ** _BINARY[suffix])
    return Fraction(10) ** (int(exponent) if exponent else _DECIMAL.get(suffix or "", 0))
