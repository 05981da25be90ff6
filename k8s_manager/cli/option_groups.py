"""Commands whose options come in groups: Typer reads flat parameters, a command takes one dataclass for each group."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with one parameter for each field of the dataclasses that `command` takes."""
    groups: dict[str, Any] = {name: kind for name, kind in get_type_hints(command).items() if name != "return"}

    @wraps(command)
    def flat(**values: Any) -> None:
        command(**{name: kind(**{f.name: values[f.name] for f in fields(kind)}) for name, kind in groups.items()})

    found = [parameter for kind in groups.values() for parameter in _parameters(kind)]
    flat.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in found}
    return flat


def _parameters(kind: Any) -> list[inspect.Parameter]:
    hints, keyword = get_type_hints(kind, include_extras=True), inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(kind)]
