"""The console of a manager: all routes in one application."""

from starlette.types import ASGIApp

from k8s_manager.console import write_plan
from k8s_manager.console.live import LivePages
from k8s_manager.console.pages import gateways, model_actions, models, overview, records, tenants
from k8s_manager.console.sessions import Sessions
from k8s_manager.console.sign_in import SignIn
from k8s_manager.console.site import ConsoleSite, application, beside
from k8s_manager.runtime.clock import Clock


def with_console(api: ASGIApp, clock: Clock) -> ASGIApp:
    """Return the REST API with its console beside it."""
    site = ConsoleSite(api, Sessions(clock), clock)
    pages = [one.routes(site) for one in (overview, gateways, tenants, models, model_actions, records, write_plan)]
    routes = [*SignIn(site).routes(), *LivePages(site, clock).routes(), *(route for found in pages for route in found)]
    return beside(api, application(routes))
