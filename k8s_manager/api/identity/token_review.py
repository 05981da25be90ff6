"""Kubernetes' own tokens: the API server is asked whose each is. A verdict is kept for a short time."""

from collections import OrderedDict

from istio_templates.facts import Manifest
from k8s_manager.access.roles import Identity
from k8s_manager.api.identity.proofs import taken
from k8s_manager.api.identity.static_tokens import hashed
from k8s_manager.clock import Clock
from k8s_manager.kube.client import KubeClient

KNOWN_SECONDS, UNKNOWN_SECONDS = 60.0, 10.0
MOST = 10_000


class TokenReviews:
    """Takes the tokens of service accounts and users that are meant for `audience`."""

    def __init__(self, client: KubeClient, clock: Clock, audience: str) -> None:
        self._client, self._clock, self._audience = client, clock, audience
        self._verdicts: OrderedDict[str, tuple[float, Identity | None]] = OrderedDict()

    async def identity(self, token: str) -> Identity | None:
        """Return whose token it is."""
        name, now = hashed(token), self._clock.now()
        until, known = self._verdicts.get(name, (-1.0, None))
        if now < until:
            return known
        found = await self._asked(token)
        self._verdicts[name] = (now + (KNOWN_SECONDS if found else UNKNOWN_SECONDS), found)
        while len(self._verdicts) > MOST:
            self._verdicts.popitem(last=False)
        return found

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
