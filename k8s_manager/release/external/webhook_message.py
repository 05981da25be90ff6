"""What a webhook is sent, how that is signed, and what its answer says. Pure.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com), for which there are libraries in most
languages: HMAC-SHA256 over id, timestamp and body.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping

import orjson

from istio_templates.errors import Stalled, Transient
from k8s_manager.release.decision.observation import ExternalReading
from k8s_manager.release.external.check_step import CheckStep

PREFIX = "whsec_"
LEAST_KEY, MOST_KEY = 24, 64
"""Bytes of a key."""
LONGEST_MESSAGE = 200
"""Characters of a message that are kept: it stands in the status of the model."""
_RESULTS = ("passed", "failed", "pending")


def signing_key(text: str) -> bytes:
    """Return the key in a file: base64, perhaps after `whsec_`; raises `Stalled` where it is none."""
    try:
        key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        raise Stalled(
            f"the file of --webhook-key-file holds no key; write whsec_ and {LEAST_KEY} to {MOST_KEY} random bytes in "
            "base64: echo whsec_$(openssl rand -base64 32)"
        )
    return key


def message_body(step: CheckStep, check: str) -> bytes:
    """Return what a webhook is sent, in JSON."""
    return orjson.dumps(
        {
            "id": step.id(check),
            "check": check,
            "tenant": step.tenant,
            "model": f"{step.place.namespace}/{step.place.name}",
            "stable": step.stable,
            "version": step.version,
            "step": step.step,
            "steps": step.steps,
            "weight": step.weight,
            "since": step.began,
        }
    )


def signed_headers(key: bytes, message_id: str, second: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver sees who sent a body, and when (epoch seconds)."""
    digest = hmac.digest(key, f"{message_id}.{second}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(second),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def answer_reading(host: str, raw: bytes, at: float) -> ExternalReading:
    """Return what an answer says; raises `Transient` where it is none."""
    try:
        found = orjson.loads(raw)
    except ValueError:
        raise Transient(f"{host} answers no JSON") from None
    result = found.get("result") if isinstance(found, Mapping) else None
    if result not in _RESULTS:
        raise Transient(f"{host} answers without a result; it is one of {', '.join(_RESULTS)}")
    message = found.get("message", "")
    if not isinstance(message, str):
        raise Transient(f"{host} answers a message that is no text")
    said = plain(message)
    return ExternalReading(at, result, sentence=f"{result}: {said}" if said else result)


def plain(text: str) -> str:
    """Return a text of others as a sentence can have it: on one line, and not long."""
    shown = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * LONGEST_MESSAGE]).split())
    return shown if len(shown) <= LONGEST_MESSAGE else f"{shown[:LONGEST_MESSAGE]}..."
