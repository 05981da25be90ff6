"""Sessions of people who signed in: the token stays here, the browser has a name for it that nobody can guess.

They live in memory: who signs out is out at once, wherever its cookie went, and a manager that starts again asks
all of them to sign in. Each ends after a while without a call, and after some hours in any case. A token that ends
before is renewed where its issuer does that; where it does not, the session ends with its token.
"""

import asyncio
import hmac
import logging
import math
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from istio_templates.errors import TidegateError
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
IDLE = 3600.0
"""Seconds without a call after which a session ends."""
LONGEST = 12 * 3600.0
"""Seconds after which it ends in any case."""
MOST_SESSIONS = 5_000
MOST_OF_A_USER = 50
LINK_HOLDS = 600.0
"""Seconds in which a link that signs in once can be used."""
MOST_LINKS = 100
RENEWED_BEFORE = 60.0
"""Seconds before a token's end from which on it is renewed; of a short one in its second half."""
AGAIN = 10.0
"""Seconds after which a renewal that failed is tried again."""


@dataclass(frozen=True, slots=True)
class SessionToken:
    """A token of the API, how many seconds it holds, and what gets the one after it, if anything does (it raises
    `TidegateError`). With `id_token` the issuer knows which of its sessions this is."""

    token: str
    seconds: float = math.inf
    renew: "Renewal | None" = None
    id_token: str = ""


Renewal = Callable[[], Awaitable[SessionToken]]


@dataclass(slots=True)
class Session:
    """One sign-in."""

    token: str
    user: str
    began: float
    used: float
    expires: float
    renew: Renewal | None = None
    token_ends: float = math.inf
    """The moment at which its token ends."""
    due: float = math.inf
    """From when on its token is renewed, if it can be."""
    id_token: str = ""
    """The issuer's word of who this is, by which its own session is ended; empty where no issuer began it."""
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: bool = False
    """Whether it was signed out of, or was over when it was looked for."""
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def take(self, given: SessionToken, now: float) -> None:
        """Go on with a token that is got now."""
        self.token, self.renew, self.token_ends = given.token, given.renew, now + given.seconds
        self.id_token = given.id_token or self.id_token
        self.due = now + max(given.seconds / 2, given.seconds - RENEWED_BEFORE)

    def holds(self, now: float) -> bool:
        """Tell whether it is not signed out of, not too old, and has a token that holds or can be renewed."""
        return not self.ended and now < self.expires and (self.renew is not None or now < self.token_ends)

    def allows(self, given: str) -> bool:
        """Tell whether a form comes from a page of this session."""
        return hmac.compare_digest(given.encode(), self.csrf.encode())


class Sessions:
    """The sessions of this manager, and the links that begin one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions = OrderedDict[str, Session]()
        self._links = OrderedDict[str, tuple[str, str, float]]()

    def begin(self, given: SessionToken, user: str) -> str:
        """Begin a session with a token of the API; return its name. Names are never reused."""
        now = self._clock.now()
        of_user = [name for name, one in self._sessions.items() if one.user == user]
        for name in of_user[: max(0, len(of_user) - MOST_OF_A_USER + 1)]:
            self.end(name)
        while len(self._sessions) >= MOST_SESSIONS:
            self.end(next(iter(self._sessions)))
        name = secrets.token_urlsafe(32)
        made = self._sessions[name] = Session(given.token, user, now, now, now + LONGEST)
        made.take(given, now)
        return name

    def find(self, name: str) -> Session | None:
        """Return a session that holds, and note that it is used; its token may have to be renewed."""
        found, now = self._sessions.get(name), self._clock.now()
        if found is None:
            return None
        if not found.holds(now) or now - found.used > IDLE:
            self.end(name)
            return None
        found.used = now
        self._sessions.move_to_end(name)
        return found

    async def renewed(self, name: str) -> Session | None:
        """Return a session that holds, with a token that does."""
        found = self.find(name)
        if found is None or found.renew is None or self._clock.now() < found.due:
            return found
        async with found.renewing:
            if not found.ended and self._clock.now() >= found.due:
                await self._renew(name, found, found.renew)
        return None if found.ended else found

    async def _renew(self, name: str, session: Session, renew: Renewal) -> None:
        try:
            given = await renew()
        except TidegateError as error:
            log.info("the token of %s was not renewed: %s", session.user, error)
            session.due = self._clock.now() + AGAIN
            if self._clock.now() >= session.token_ends:
                self.end(name)
            return
        session.take(given, self._clock.now())

    def end(self, name: str) -> None:
        """End a session."""
        if (found := self._sessions.pop(name, None)) is not None:
            found.ended = True

    def link(self, token: str, user: str) -> str:
        """Return the secret of a link that signs a caller in once."""
        while len(self._links) >= MOST_LINKS:
            self._links.popitem(last=False)
        secret = secrets.token_urlsafe(32)
        self._links[secret] = (token, user, self._clock.now() + LINK_HOLDS)
        return secret

    def redeem(self, secret: str) -> str | None:
        """Return the name of the session that a link begins; None for one that was used, or is too old."""
        token, user, until = self._links.pop(secret, ("", "", 0.0))
        return self.begin(SessionToken(token), user) if token and self._clock.now() < until else None
