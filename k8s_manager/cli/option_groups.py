"""Commands whose options come in groups: Typer reads flat parameters, a command takes a dataclass for each group."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with one parameter for each field of the dataclasses that `command` takes, and the others as
    they are."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @wraps(command)
    def flat(**values: Any) -> None:
        taken = {name: kind(**{f.name: values.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        command(**taken, **values)

    alone = [parameter for name, parameter in inspect.signature(command).parameters.items() if name not in groups]
    found = [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in alone),
        *(parameter for kind in groups.values() for parameter in _parameters(kind)),
    ]
    flat.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in found}
    return flat


def _parameters(kind: Any) -> list[inspect.Parameter]:
    hints, keyword = get_type_hints(kind, include_extras=True), inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(kind)]
