"""Kubernetes' own tokens: the API server is asked whose each is. A verdict is kept for a short time."""

import asyncio
from collections import OrderedDict

from istio_templates.facts import Manifest
from k8s_manager.access.roles import Identity
from k8s_manager.api.identity.proofs import taken
from k8s_manager.api.identity.static_tokens import hashed
from k8s_manager.clock import Clock
from k8s_manager.kube.client import KubeClient

KNOWN_SECONDS, UNKNOWN_SECONDS = 60.0, 10.0
MOST = 10_000
AT_ONCE = 8
"""Questions under way: who guesses tokens is slowed down here and not the API server."""


class TokenReviews:
    """Takes the tokens of service accounts and users that are meant for `audience`."""

    def __init__(self, client: KubeClient, clock: Clock, audience: str) -> None:
        self._client, self._clock, self._audience = client, clock, audience
        self._places = asyncio.Semaphore(AT_ONCE)
        self._verdicts: OrderedDict[str, tuple[float, Identity | None]] = OrderedDict()

    async def identity(self, token: str) -> Identity | None:
        """Return whose token it is."""
        name = hashed(token)
        if not self._is_known(name):
            async with self._places:
                if not self._is_known(name):  # nobody has asked while we waited
                    self._keep(name, await self._asked(token))
        return self._verdicts[name][1]

    def _is_known(self, name: str) -> bool:
        return name in self._verdicts and self._clock.now() < self._verdicts[name][0]

    def _keep(self, name: str, found: Identity | None) -> None:
        self._verdicts[name] = (self._clock.now() + (KNOWN_SECONDS if found else UNKNOWN_SECONDS), found)
        while len(self._verdicts) > MOST:
            self._verdicts.popitem(last=False)

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
        return taken(user.get("username"), user.get("groups") or [], "the API server")
