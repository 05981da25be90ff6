"""What a plain scalar of YAML is for kubectl: the rules of Go's library (go.yaml.in/yaml, resolve.go).

It is neither YAML 1.1 nor 1.2: `1e3`, `0o17` and `08` are numbers, `y` is true, and `1:30`, `=` and dates are texts.
What it reads goes through JSON, so that `1.0` is the whole number 1, keys are texts, and infinity is refused.
"""

import re

TRUTHS = {**dict.fromkeys(["y", "yes", "true", "on"], True), **dict.fromkeys(["n", "no", "false", "off"], False)}
TRUTH = re.compile(r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")
NOTHING = re.compile(r"~|null|Null|NULL|")
NUMBER = re.compile(r"[-+]?\.?[0-9_]\S*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
"""Whatever may be a number; `number` decides."""
_WHOLE = re.compile(r"([-+]?)(?:0[bB]([01]+)|0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FRACTION = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_BASES = (2, 8, 16, 10)
_LONGEST = 400
_JSON_WHOLE = 1e21
"""From here on Go writes a float with an exponent, which is no whole number any more."""


def number(text: str) -> int | float | str:
    """Return the number in a plain scalar; a text where it is none, also one that no float64 holds.

    Raises `ValueError` for infinity and what is no number at all, which JSON has no words for.
    """
    if text.lower().endswith((".inf", ".nan")):
        raise ValueError(f"{text} is no number of JSON; give a figure, or quote it")
    bare = text.replace("_", "")
    if len(bare) > _LONGEST or (text[0] == "." and not _FRACTION.fullmatch(text)):
        return text
    if found := _WHOLE.fullmatch(bare):
        digits = next((base, part) for base, part in zip(_BASES, found.groups()[1:], strict=True) if part is not None)
        value = int(found[1] + digits[1], digits[0])
        if -(2**63) <= value < 2 ** (63 if found[1] else 64):
            return value
    return whole(float(bare)) if _FLOAT.fullmatch(bare) and abs(float(bare)) != float("inf") else text


def whole(value: float) -> int | float:
    """Return a float as JSON writes it: without a point where it has no fraction."""
    return int(value) if abs(value) < _JSON_WHOLE and value == int(value) else value


def key(value: object) -> str:
    """Return the key of a mapping as JSON has it; raises `ValueError` where it can be none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("a key is a text, and this one is not; quote it")
