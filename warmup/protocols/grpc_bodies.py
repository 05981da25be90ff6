"""gRPC bodies from the JSON that people write and record."""

from typing import Any

from google.protobuf import json_format

from warmup.protocols.base import Unencodable


def from_json(kind: type[Any], body: bytes) -> Any:
    """Return a message from its JSON form; raises `Wrong` where it has no such form."""
    made = kind()
    try:
        json_format.Parse(body or b"{}", made)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Unencodable(f"the body is no {kind.DESCRIPTOR.full_name}: {error}") from error
    return made
