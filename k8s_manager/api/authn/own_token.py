"""The manager's own token, which may do everything: from a file, from a Secret that all managers share, or made for
this process. It does not say who uses it."""

import asyncio
import base64
import hmac
import logging
import secrets
from pathlib import Path

from istio_templates.errors import Stalled, TidegateError, Waiting
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.authz.roles import MASTERS, Identity
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.runtime.settings import Settings

log = logging.getLogger(__name__)
_KEY = "token"
RETRY = 2.0
HOLDER = Identity("tidegate:holder", frozenset({MASTERS}), is_person=False)


class Token:
    """The token, as soon as it is known."""

    def __init__(self, value: str | None = None) -> None:
        self._value = value
        self.problem = "it is being read"

    def get(self) -> str:
        """Return the token; raises `Waiting` until it is known."""
        if self._value is None:
            raise Waiting(f"the token of this API is not known yet: {self.problem}", RETRY)
        return self._value

    async def identity(self, token: str) -> Identity | None:
        """Return the identity of all who use this token: it names no person."""
        return HOLDER if hmac.compare_digest(token.encode(), self.get().encode()) else None

    async def find(self, settings: Settings, client: KubeClient) -> None:
        """Find the token; what stands in the way may go away, so this goes on until it has it."""
        while self._value is None:
            try:
                self._value = await token_of(settings, client)
            except (TidegateError, OSError, ValueError) as error:
                if str(error) != self.problem:
                    log.warning("no token for the REST API: %s", error)
                self.problem = str(error)
                await asyncio.sleep(RETRY)


async def token_of(settings: Settings, client: KubeClient) -> str:
    """Return the token that callers present; raises `Stalled` where the Secret holds none."""
    if settings.token_file is not None:
        return given_token(settings.token_file)
    if settings.token_secret is not None:
        return _token_in(await _secret(client, *settings.token_secret))
    made = secrets.token_urlsafe(32)
    log.warning("no --token-file and no --token-secret: the REST API takes only %s until this process ends", made)
    return made


def given_token(file: Path) -> str:
    """Return the token in a file; raises `Stalled` where it holds none, `OSError` where it cannot be read."""
    return _given(file.read_text(), str(file), "put one in")


async def _secret(client: KubeClient, namespace: str, name: str) -> Manifest:
    """Return the Secret; where there is none, make it, unless another manager is just doing so."""
    key = ObjectKey("Secret", namespace, name)
    try:
        return await client.get(key)
    except Absent:
        data = {_KEY: base64.b64encode(secrets.token_urlsafe(32).encode()).decode()}
        metadata = {"name": name, "namespace": namespace}
        try:
            return await client.create(
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
            )
        except WriteConflict:
            return await client.get(key)


def _token_in(secret: Manifest) -> str:
    text = base64.b64decode((secret.get("data") or {}).get(_KEY, "")).decode()
    where = f"Secret {secret['metadata']['namespace']}/{secret['metadata']['name']}, key {_KEY!r}"
    return _given(text, where, "put one in, or delete the Secret: the managers make a new one")


def _given(text: str, where: str, remedy: str) -> str:
    if not text.strip():
        raise Stalled(f"there is no token in {where}; {remedy}")
    return text.strip()
