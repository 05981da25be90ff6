"""Which texts YAML's readers take for something else when they stand without quotes.

kubectl and kustomize read with Go's libraries, which follow YAML 1.1 in part, 1.2 in part, and Go's own forms of
numbers beyond both: `25921e05`, `0o17`, `08`, `1_000` and `y` are texts for PyYAML and numbers or true for them.
Whatever any of them could read as no text is quoted, so that it is the same for all.
"""

import re

_NUMBER = re.compile(
    r"""[-+]?(?:
        0[bB][01]* | 0[oO][0-7]*
      | 0[xX](?:[0-9a-fA-F]*\.?[0-9a-fA-F]*)(?:[pP][-+]?[0-9]+)?
      | (?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?
      | [0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?
    )""",
    re.VERBOSE,
)
"""A number of any of them, without its underscores; its digits may all have been some, as in `0x_` of YAML 1.1. So is
base 60."""
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?", re.DOTALL)
_WORDS = frozenset(
    ["", "~", "null", "y", "n", "yes", "no", "on", "off", "true", "false", "=", "<<", ".nan", ".inf", "+.inf", "-.inf"]
)
_BEGINS = frozenset("+-.0123456789")


def is_ambiguous(text: str) -> bool:
    """Tell whether a reader of YAML may take a text without quotes for a number, a truth, a moment or nothing."""
    if text[:1] not in _BEGINS:
        return len(text) < 6 and text.lower() in _WORDS
    bare = text.replace("_", "")
    return bool(_NUMBER.fullmatch(bare) or _MOMENT.fullmatch(text)) or text.lower() in _WORDS
