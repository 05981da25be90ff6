"""Credentials of a search store, read from a file and shown nowhere."""

import base64
from collections.abc import Callable
from pathlib import Path

from istio_templates.errors import Stalled

Authorization = Callable[[], str | None]
"""Returns the value of the header `Authorization`; None where the store asks for none."""


def no_authorization() -> str | None:
    """Return nothing: the store asks for no credentials."""
    return None


def authorization_from(file: Path) -> Authorization:
    """Return what reads a file for each request, so that a renewed secret is used at once.

    The file holds one line: `USER:PASSWORD`, or an API key as the store gives it (`encoded`). What it returns raises
    `Stalled` where the file cannot be read or holds something else.
    """

    def read() -> str:
        try:
            text = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise Stalled(f"the credentials in {file} cannot be read ({why}); give a file with one line") from None
        if not text or not text.isprintable() or not text.isascii():
            raise Stalled(f"{file} holds no credentials; write USER:PASSWORD or an API key into it, in one line")
        if ":" in text:
            return "Basic " + base64.b64encode(text.encode()).decode()
        return f"ApiKey {text.removeprefix('ApiKey ')}"

    return read
