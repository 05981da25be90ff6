"""Several applications in one process: they share the routes, and nothing else."""

import asyncio
import re
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from istio_templates.facts import ObjectKey
from k8s_manager.api.app import build
from k8s_manager.api.audit import Audit
from k8s_manager.api.audit_memory import AuditMemory
from k8s_manager.api.authn.authenticators import Authenticators
from k8s_manager.api.guard import Guard
from k8s_manager.api.streams.event_stream import StreamTerms
from k8s_manager.authz.endpoints import NEEDS, Scope
from k8s_manager.authz.roles import Grant, Grants, Identity, Role
from k8s_manager.console.api_client import ApiClient
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.token_bucket import Rate


class Documents:
    """The documents of one fleet: a gateway of a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def one(self, key: ObjectKey) -> dict[str, Any]:
        return {"metadata": {"name": key.name}, "spec": {"of": self.name}}


class Door:
    """Knows the token of one caller, by the same name as the fleet."""

    def __init__(self, user: str) -> None:
        self.user = user

    async def identity(self, token: str) -> Identity | None:
        return Identity(self.user) if token == self.user else None


def application(name: str) -> FastAPI:
    clock, pace = SystemClock(), Rate(1000, 1000)
    admins = Grants([Grant(Role.PLATFORM_ADMIN, users=frozenset({name}))])
    directory: Any = SimpleNamespace(grants=lambda: admins)
    guard = Guard(Authenticators([Door(name)]), directory, clock, pace, pace)
    backend: Any = SimpleNamespace(documents=Documents(name), tree=None)
    trail = Audit(clock, lambda _: None, AuditMemory(clock, name, has_peers=False))
    return build(backend, guard, trail, StreamTerms(60.0))


def routes(app: FastAPI) -> list[APIRoute]:
    return [route for route in app.routes if isinstance(route, APIRoute)]


async def test_each_application_serves_its_own_backend_at_the_same_time():
    clients = {name: ApiClient(application(name), name) for name in ("one", "two")}
    calls = [client.get("/v1/gateways/edge") for _ in range(5) for client in clients.values()]
    assert [found["spec"]["of"] for found in await asyncio.gather(*calls)] == ["one", "two"] * 5


async def test_each_application_has_its_own_guard():
    apps = {name: application(name) for name in ("one", "two")}
    for name, app in apps.items():
        for token in apps:
            reply = await ApiClient(app, token).call("GET", "/v1/whoami")
            assert reply.status == (200 if token == name else 401)


async def test_each_application_has_its_own_audit_trail():
    one, two = application("one"), application("two")
    await ApiClient(one, "none").call("GET", "/v1/gateways/edge")
    assert len(await ApiClient(one, "one").items("/v1/audit")) == 1
    assert len(await ApiClient(two, "two").items("/v1/audit")) == 0


def test_another_application_analyses_no_endpoint_again():
    first, second = routes(application("one")), routes(application("two"))
    assert len(first) > 100
    assert all(mine is other for mine, other in zip(first, second, strict=True))


def test_an_application_may_have_a_route_of_its_own():
    first, second = application("one"), application("two")
    first.get("/v1/extra")(lambda: "more")
    assert len(routes(first)) == len(routes(second)) + 1 == len(routes(application("three"))) + 1


async def test_a_caller_without_an_identity_is_refused_before_parameters_and_body_are_read():
    app = application("one")
    stranger, met = ApiClient(app, "none"), 0
    for route in routes(app):
        method = next(iter(route.methods))
        if NEEDS[method, route.path].place is not Scope.OPEN:
            path = re.sub(r"{\w+}", "x", route.path)
            reply = await stranger.call(method, path, {"limit": "x", "dryRun": "x"}, "[broken")
            assert reply.status == 401, (method, path)
            met += 1
    assert met > 100
