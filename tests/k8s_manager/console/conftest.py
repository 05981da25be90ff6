import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlencode

import aiohttp
import pytest

from k8s_manager.authz.roles import Identity
from k8s_manager.manager import Manager
from tests.features.conftest import make_search
from tests.features.test_access import made
from tests.support.documents import model, tenant
from tests.support.fleet import TOKEN, Fleet, Rest
from tests.support.waiting import until

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_FORM = re.compile(r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@dataclass(frozen=True, slots=True)
class Seen:
    """A page as a browser has it."""

    status: int
    text: str
    headers: dict[str, str]

    def form(self, action: str) -> dict[str, str]:
        """Return the hidden fields of the form whose action ends so."""
        (found,) = (body for where, body in _FORM.findall(self.text) if unescape(where).endswith(action))
        return {name: unescape(value) for name, value in _HIDDEN.findall(found)}


class Browser:
    """What a browser does with pages: it keeps cookies and follows the answers of forms."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base, self.session = base, session

    async def get(self, path: str, follow: bool = True, **headers: str) -> Seen:
        async with self.session.get(self.base + path, headers=headers, allow_redirects=follow) as answer:
            return Seen(answer.status, await answer.text(), dict(answer.headers))

    async def send(self, path: str, fields: dict[str, str], follow: bool = True, **headers: str) -> Seen:
        given = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        where, data = self.base + path, urlencode(fields)
        async with self.session.post(where, data=data, headers=given, allow_redirects=follow) as answer:
            return Seen(answer.status, await answer.text(), dict(answer.headers))

    async def sign_in(self, token: str = TOKEN) -> None:
        seen = await self.send("/console/sign-in", {"token": token, "next": "/console/"})
        assert seen.status == 200 and "Sign out" in seen.text, seen.text

    def cookie(self) -> str:
        """Return the session's name."""
        (found,) = (one.value for one in self.session.cookie_jar if one.key == "tidegate-session")
        return found


class OddCaller:
    """An issuer that lets a caller have any name."""

    async def identity(self, token: str) -> Identity | None:
        return Identity(SCRIPT, frozenset({SCRIPT}), source="oidc") if token == "as-script" else None


class Place:
    """A fleet with its console, and as many browsers as a test asks for."""

    def __init__(self, fleet: Fleet, rest: Rest, base: str, manager: Manager | None = None) -> None:
        self.fleet, self.rest, self._base, self.manager = fleet, rest, base, manager
        self._open: list[aiohttp.ClientSession] = []

    def browser(self) -> Browser:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._open.append(session)
        return Browser(self._base, session)

    async def close(self) -> None:
        for session in self._open:
            await session.close()


@pytest.fixture
async def place(fleet: Fleet, tmp_path) -> AsyncIterator[Place]:
    """A gateway, the tenants `search` and `ads` with a model each, and people with grants."""
    async with fleet.manager() as manager:
        await make_search(fleet)
        await fleet.apply(tenant(owners=["group:search-ml"]))
        await fleet.apply(tenant("ads", hosts=[{"name": "ads.models.example.com"}], owners=["group:ads-ml"]))
        await until(lambda: fleet.get("Namespace", "ads"), what="the other tenant's namespace")
        await fleet.apply(model("bidder", "ads"))
        people = made(tmp_path, owner=["search-ml"], stranger=[])
        async with fleet.rest(manager, people, OddCaller(), audit=str(tmp_path / "audit.log")) as rest:
            found = Place(fleet, rest, str(rest._session._base_url).rstrip("/"), manager)
            yield found
            await found.close()


@pytest.fixture
async def browser(place: Place) -> Browser:
    """A browser whose reader may do everything."""
    found = place.browser()
    await found.sign_in()
    return found
