"""What log shippers put around a line: the line in a JSON string, or in one field of an object."""

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from collectors.access_log.text_lines import RUNTIME_HEAD

FIELDS = ("log", "message", "body", "msg", "line")
"""The fields in which Fluent Bit, Filebeat and Vector, the OpenTelemetry Collector, rsyslog and Promtail write it."""
_MARK = b'"schema":'


class _Envelope(Struct, frozen=True, gc=False):
    log: Raw = Raw()
    message: Raw = Raw()
    body: Raw = Raw()
    msg: Raw = Raw()
    line: Raw = Raw()


_read_envelope, _read_text = Decoder(_Envelope).decode, Decoder(str).decode
_DEPTH = 3
"""Envelopes around one line, at most."""


def unwrapped(value: bytes) -> bytes:
    """Return the line in a message, as the gateway wrote it; a message that holds no line is returned as it is."""
    if _is_bare(value):
        return value
    line = value
    for _ in range(_DEPTH):
        inner = _opened(line)
        if inner is None:
            break
        line = inner
    return line


def _is_bare(value: bytes) -> bool:
    """Whether a value is a line without anything around it, as it nearly always is: one flat object with a schema."""
    return value.startswith(b"{") and value.rfind(b"{") == 0 and _MARK in value


def _opened(text: bytes) -> bytes | None:
    """Return what is in the outermost envelope; None where there is none."""
    text = text.strip()
    try:
        if text.startswith(b'"'):
            return _read_text(text).encode()
        if text.startswith(b"{"):
            envelope = _read_envelope(text)
            return next((bytes(found) for name in FIELDS if (found := getattr(envelope, name))), None)
    except (DecodeError, UnicodeEncodeError, RecursionError):
        return None
    head = RUNTIME_HEAD.match(text)
    return text[head.end() :] if head else None
