"""Sessions of people who signed in: the token stays here, the browser has a name for it that nobody can guess.

They live in memory: who signs out is out at once, wherever its cookie went, and a manager that starts again asks
all of them to sign in. Each ends after a while without a call, and after some hours in any case.
"""

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from k8s_manager.runtime.clock import Clock

IDLE = 3600.0
"""Seconds without a call after which a session ends."""
LONGEST = 12 * 3600.0
"""Seconds after which it ends in any case."""
MOST_SESSIONS = 5_000
MOST_OF_A_USER = 50
LINK_HOLDS = 600.0
"""Seconds in which a link that signs in once can be used."""
MOST_LINKS = 100


@dataclass(slots=True)
class Session:
    """One sign-in."""

    token: str
    user: str
    began: float
    used: float
    expires: float
    ended: bool = False
    """Whether it was signed out of, or was over when it was looked for."""
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def holds(self, now: float) -> bool:
        """Tell whether it is neither signed out of nor too old."""
        return not self.ended and now < self.expires

    def allows(self, given: str) -> bool:
        """Tell whether a form comes from a page of this session."""
        return hmac.compare_digest(given.encode(), self.csrf.encode())


class Sessions:
    """The sessions of this manager, and the links that begin one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions = OrderedDict[str, Session]()
        self._links = OrderedDict[str, tuple[str, str, float]]()

    def begin(self, token: str, user: str, seconds: float = LONGEST) -> str:
        """Begin a session that holds for at most so many seconds; return its name. Names are never reused."""
        now = self._clock.now()
        of_user = [name for name, one in self._sessions.items() if one.user == user]
        for name in of_user[: max(0, len(of_user) - MOST_OF_A_USER + 1)]:
            self.end(name)
        while len(self._sessions) >= MOST_SESSIONS:
            self.end(next(iter(self._sessions)))
        name = secrets.token_urlsafe(32)
        self._sessions[name] = Session(token, user, now, now, now + min(seconds, LONGEST))
        return name

    def find(self, name: str) -> Session | None:
        """Return a session that holds, and note that it is used."""
        found, now = self._sessions.get(name), self._clock.now()
        if found is None:
            return None
        if now >= found.expires or now - found.used > IDLE:
            self.end(name)
            return None
        found.used = now
        self._sessions.move_to_end(name)
        return found

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
        return self.begin(token, user) if token and self._clock.now() < until else None
