"""Static tokens of people and machines, in a file that holds only their hashes.

    tokens:
    - {user: anna@example.com, groups: [search-ml], sha256: 2c26b46b...}

The tokens are made by `tidegate token`: 256 random bits, so that a plain hash is as good as a slow one. The file is
read again when it has changed.
"""

import hashlib
import logging
import secrets
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from istio_templates.documents import load
from istio_templates.documents.access import Principal
from istio_templates.documents.fields import Spec
from istio_templates.documents.parse import problems_of
from istio_templates.errors import Invalid, Problem, TidegateError
from k8s_manager.authz.roles import OWN_PREFIX, Identity

log = logging.getLogger(__name__)
PREFIX = "tdg_"


class Entry(Spec):
    """One token: whose it is, and its SHA-256 in hexadecimal digits."""

    user: Principal
    groups: tuple[Principal, ...] = ()
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TokensFile(Spec):
    """The file."""

    tokens: Annotated[tuple[Entry, ...], Field(max_length=100_000)]


def new_token() -> str:
    """Return a token that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class StaticTokens:
    """The tokens of a file. If the file cannot be read any more, the known tokens stay in force and the log says so."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_at: tuple[int, int] | None = None
        self._known: dict[str, Identity] = {}

    def read(self) -> None:
        """Read the file; raises `Invalid` or `OSError`."""
        self._read_at = self._state()
        self._known = _known(self._file.read_text(), str(self._file))

    async def identity(self, token: str) -> Identity | None:
        """Return whose token it is."""
        self._refresh()
        return self._known.get(hashed(token))

    def _refresh(self) -> None:
        try:
            if self._state() != self._read_at:
                self.read()
        except (OSError, ValueError, TidegateError) as error:
            log.warning("the tokens known before stay in force: %s", error)

    def _state(self) -> tuple[int, int]:
        stat = self._file.stat()
        return stat.st_mtime_ns, stat.st_size


def _known(text: str, source: str) -> dict[str, Identity]:
    found = load(text, source)
    try:
        tokens = TokensFile.model_validate(found[0] if found else {"tokens": []}).tokens
    except ValidationError as error:
        raise Invalid(source, problems_of(error, TokensFile)) from error
    names = [name for entry in tokens for name in (entry.user, *entry.groups) if name.startswith(OWN_PREFIX)]
    if names:
        raise Invalid(source, [Problem("tokens", f"{names[0]!r} is the manager's own; choose another name")])
    return {entry.sha256: Identity(entry.user, frozenset(entry.groups), source="token") for entry in tokens}
