"""The console of a manager: all routes in one application."""

from starlette.types import ASGIApp

from k8s_manager.api.authn.key_fetch import Fetcher
from k8s_manager.api.streams.change_hub import ChangeHub
from k8s_manager.console import write_plan
from k8s_manager.console.actions import overrides
from k8s_manager.console.live import LivePages
from k8s_manager.console.oidc_sign_in import OidcClient, OidcSignIn
from k8s_manager.console.pages import (
    changes,
    designer,
    gateways,
    model_actions,
    model_logs,
    models,
    overview,
    records,
    tenants,
    what_if,
)
from k8s_manager.console.sessions import Sessions
from k8s_manager.console.sign_in import SignIn
from k8s_manager.console.sign_out import SignOut
from k8s_manager.console.site import ConsoleSite, application, beside
from k8s_manager.runtime.clock import Clock

PAGES = (
    overview,
    gateways,
    tenants,
    designer,
    models,
    model_logs,
    model_actions,
    what_if,
    changes,
    overrides,
    records,
    write_plan,
)
"""What has the routes of pages and of what they write."""


def with_console(
    api: ASGIApp,
    hub: ChangeHub,
    clock: Clock,
    client: OidcClient | None = None,
    fetch: Fetcher | None = None,
) -> ASGIApp:
    """Return the REST API with its console beside it, where people may also sign in at an issuer, as its `client`. Open
    pages follow the `hub`."""
    site = ConsoleSite(api, Sessions(clock), clock, hub.mark)
    sign_in = SignIn(site, client.issuer.url if client else None)
    at_issuer = OidcSignIn(site, sign_in, client, fetch, clock).routes() if client and fetch else []
    pages = [one.routes(site) for one in PAGES]
    routes = [
        *sign_in.routes(),
        *SignOut(site, client, fetch).routes(),
        *at_issuer,
        *LivePages(site, hub, clock).routes(),
        *(route for found in pages for route in found),
    ]
    return beside(api, application(routes))
