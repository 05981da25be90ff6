"""Options that are spans of time."""

from fractions import Fraction

import typer

from istio_templates.documents.fields import seconds


def span_of(option: str, text: str, right: str) -> Fraction:
    """Return the seconds that an option gives; raises `BadParameter` with what would be right."""
    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text!r} is no time; write {right}") from error
