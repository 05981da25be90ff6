"""Kubernetes' own tokens: the manager asks the API server whose each is, and caches the answer for a short time."""

import asyncio
from collections import OrderedDict

import jwt

from istio_templates.errors import Waiting
from istio_templates.facts import Manifest
from k8s_manager.api.authn.authenticators import taken
from k8s_manager.api.authn.static_tokens import hashed
from k8s_manager.authz.roles import Identity
from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.clock import Clock

KNOWN_SECONDS, UNKNOWN_SECONDS = 60.0, 10.0
MOST = 10_000
MOST_WAITING = 64
LONGEST = 16_384
AT_ONCE = 8
"""Most reviews under way: a caller who guesses tokens is slowed down here, and not the API server."""


def _may_be_ours(token: str, audience: str) -> bool:
    """Tell whether a token claims the manager's audience; whether the claim holds, only the API server knows."""
    if len(token) > LONGEST or token.count(".") != 2:
        return False
    try:
        said = jwt.decode(token, options={"verify_signature": False}).get("aud", [])
    except jwt.PyJWTError:
        return False
    return audience == said or (isinstance(said, list) and audience in said)


class TokenReviews:
    """Accepts the tokens of service accounts and users that are issued for `audience`."""

    def __init__(self, client: KubeClient, clock: Clock, audience: str) -> None:
        self._client, self._clock, self._audience = client, clock, audience
        self._waiting = 0
        self._places = asyncio.Semaphore(AT_ONCE)
        self._verdicts: OrderedDict[str, tuple[float, Identity | None]] = OrderedDict()

    async def identity(self, token: str) -> Identity | None:
        """Return whose token it is."""
        if not _may_be_ours(token, self._audience):
            return None
        name = hashed(token)
        if not self._is_known(name):
            if self._waiting >= MOST_WAITING:
                raise Waiting("too many tokens are under review; try again", 1)
            self._waiting += 1
            try:
                await self._ask(name, token)
            finally:
                self._waiting -= 1
        return self._verdicts[name][1]

    async def _ask(self, name: str, token: str) -> None:
        async with self._places:
            if not self._is_known(name):  # no other call has asked meanwhile
                self._keep(name, await self._asked(token))

    def _is_known(self, name: str) -> bool:
        return name in self._verdicts and self._clock.now() < self._verdicts[name][0]

    def _keep(self, name: str, found: Identity | None) -> None:
        self._verdicts[name] = (self._clock.now() + (KNOWN_SECONDS if found else UNKNOWN_SECONDS), found)
        while len(self._verdicts) > MOST:
            worthless = next((key for key, (_, known) in self._verdicts.items() if known is None), None)
            self._verdicts.pop(worthless or next(iter(self._verdicts)))

    async def _asked(self, token: str) -> Identity | None:
        review: Manifest = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": [self._audience]},
        }
        status = (await self._client.create(review)).get("status") or {}
        # A server that knows no audiences answers without them, and has checked nothing about them.
        if not status.get("authenticated") or self._audience not in (status.get("audiences") or []):
            return None
        user = status.get("user") or {}
        return taken(user.get("username"), user.get("groups") or [], "the API server", of_kubernetes=True)
