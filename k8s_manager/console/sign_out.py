"""The way out: the session here ends at once, and then the one at the issuer (OpenID Connect RP-Initiated Logout).

The browser is sent on by the page that says so, not by a redirect: the console's policy lets a form lead nowhere else.
"""

import logging
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from istio_templates.errors import Transient
from k8s_manager.api.authn.key_fetch import Fetcher
from k8s_manager.console import ROOT
from k8s_manager.console.oidc_sign_in import SIGNED_OUT, OidcClient, callback_of, discovered, endpoint_of
from k8s_manager.console.page import page
from k8s_manager.console.site import COOKIE, ConsoleSite, reader_of

log = logging.getLogger(__name__)
LONGEST_HINT = 4_000
"""Characters of an ID token that go into an address; without it the issuer asks whether it is meant."""


class SignOut:
    """The route that ends a session, with the `client` of an issuer there too."""

    def __init__(self, site: ConsoleSite, client: OidcClient | None, fetch: Fetcher | None) -> None:
        self._site, self._client, self._fetch = site, client, fetch

    def routes(self) -> list[Route]:
        """Return it."""
        return [Route(f"{ROOT}/sign-out", self._site.write(self._out), methods=["POST"])]

    async def _out(self, request: Request) -> Response:
        token = reader_of(request).session.id_token
        self._site.leave(request)
        request.state.reader = None
        where = await self._at_issuer(request, token) if token else None
        answer = (
            page(request, "signed_out.html", where=where, issuer=self._client.issuer.url)
            if where and self._client
            else RedirectResponse(f"{ROOT}/sign-in", 303)
        )
        answer.delete_cookie(COOKIE, ROOT)
        return answer

    async def _at_issuer(self, request: Request, token: str) -> str | None:
        """Return where the session at the issuer ends; None where the issuer has no such place, or is away."""
        if self._client is None or self._fetch is None:
            return None
        try:
            where = endpoint_of(self._client, await discovered(self._client, self._fetch), "end_session_endpoint")
        except Transient as error:
            log.info("a sign-out ends here and not at the issuer: %s", error)
            return None
        query = {
            "client_id": self._client.client_id,
            "post_logout_redirect_uri": callback_of(self._client, request),
            "state": SIGNED_OUT,
        }
        hint = {"id_token_hint": token} if len(token) <= LONGEST_HINT else {}
        return where + ("&" if "?" in where else "?") + urlencode({**hint, **query})
