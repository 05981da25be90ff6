"""What a form sends."""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from istio_templates.errors import TidegateError

MOST_BYTES = 2_000_000
MOST_FIELDS = 500
LARGEST = 1e12
"""A whole number beyond is sent as it was read."""


class BadForm(TidegateError):
    """A form that this console has not made, or that is too large."""


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form, of several with one name the last; raises `BadForm`."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise BadForm("this is no form of the console; go back, and send the form again")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise BadForm(f"the form has more than {MOST_BYTES} bytes; use the API for what is so large")
    try:
        return dict(
            parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, strict_parsing=bool(body))
        )
    except ValueError as error:
        raise BadForm("the form cannot be read; go back, and send it again") from error


def number(text: str) -> Any:
    """Return the number in a text; what is none stays as it is, for the API to refuse."""
    try:
        found = float(text)
    except ValueError:
        return text
    if not math.isfinite(found):
        return text
    return int(found) if found.is_integer() and abs(found) < LARGEST else found
