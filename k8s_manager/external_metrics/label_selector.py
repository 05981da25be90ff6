"""Label selectors as Kubernetes writes them in queries: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from istio_templates.errors import Invalid, Problem

LONGEST, MOST = 8_192, 64
"""Characters of a selector, and requirements in it."""
_KEY = r"(?:[a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9][-A-Za-z0-9_.]{0,62}"
_VALUE = r"[A-Za-z0-9]?[-A-Za-z0-9_.]{0,62}"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        !\s*(?P<absent>{_KEY})
        | (?P<key>{_KEY})\s*(?:
            (?P<equality>==|=|!=)\s*(?P<value>{_VALUE})
            | (?<=\s)(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )
        | (?P<present>{_KEY})
    )\s*(?:,|$)""",
    re.VERBOSE,
)
Operator = Literal["in", "notin", "exists", "absent"]


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One requirement on a label; a label that is missing fits `notin`, as Kubernetes has it."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet it."""
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "absent":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "in")


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that all have to be met; none selects everything."""

    requirements: tuple[LabelRequirement, ...] = ()

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels are selected."""
        return all(requirement.fits(labels) for requirement in self.requirements)

    def values(self, key: str) -> frozenset[str] | None:
        """Return the only values that a label may have; None where no requirement names them."""
        named = [each.values for each in self.requirements if each.key == key and each.operator == "in"]
        return frozenset.intersection(*named) if named else None


def selector_in(text: str) -> LabelSelector:
    """Return the selector in a text; raises `Invalid` where it is none."""
    if len(text) > LONGEST:
        raise _refused(text, f"it has more than {LONGEST} characters")
    found: list[LabelRequirement] = []
    position = 0
    while position < len(text.rstrip()):
        match = _REQUIREMENT.match(text, position)
        if match is None or len(found) == MOST:
            raise _refused(text, f"what stands from character {position + 1} on is no requirement on a label")
        found.append(_requirement(match))
        position = match.end()
    if text.rstrip().endswith(","):
        raise _refused(text, "a requirement is missing at its end")
    return LabelSelector(tuple(found))


def _requirement(match: re.Match[str]) -> LabelRequirement:
    if match["absent"]:
        return LabelRequirement(match["absent"], "absent")
    if match["present"]:
        return LabelRequirement(match["present"], "exists")
    if match["equality"]:
        operator: Operator = "notin" if match["equality"] == "!=" else "in"
        return LabelRequirement(match["key"], operator, frozenset({match["value"]}))
    values = frozenset(value.strip() for value in match["values"].split(","))
    return LabelRequirement(match["key"], "in" if match["set"] == "in" else "notin", values)


def _refused(text: str, why: str) -> Invalid:
    return Invalid(f"labelSelector {text[:100]!r}", [Problem("", f"{why}; write such as a=b,c in (d,e),!f")])
