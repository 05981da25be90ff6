"""Tenants whose callers a gateway checks, their tokens, and models that count what reaches them, at a real Envoy."""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from multidict import CIMultiDict
from yarl import URL

from istio_templates import names
from istio_templates.callers.access_facts import AuthenticationFacts, CallerFacts, IssuerFacts, TenantAccess
from istio_templates.documents import parse
from istio_templates.facts import Manifest
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.plan import Plan, plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.standalone.translator.snapshot import ENDPOINT, Snapshot, snapshot
from tests.support.envoy import EnvoyUnderTest, config_of, running_envoy

HOST = "{}.models.example.com"
NOW = int(time.time())


class Signer:
    """An issuer's key, and tokens that it signs."""

    def __init__(self, issuer: str, audience: str, kid: str = "k1") -> None:
        self.issuer, self.audience, self.kid = issuer, audience, kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> str:
        """The public key as the text of a JWKS."""
        public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": self.kid, "alg": "ES256", "use": "sig"}]})

    def facts(self, claim: str = "sub") -> IssuerFacts:
        """Return what a renderer knows of the issuer."""
        return IssuerFacts(self.issuer, (self.audience,), self.jwks, claim)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a good token of `app1`; those that are None are left out."""
        good = {"iss": self.issuer, "aud": self.audience, "sub": "app1", "exp": NOW + 3600, "iat": NOW, "jti": "id-1"}
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(self, **changed: Any) -> str:
        """Return a signed token."""
        return jwt.encode(self.claims(**changed), self.key, algorithm="ES256", headers={"kid": self.kid})

    def unsigned(self) -> str:
        """Return a token of `alg: none`."""
        return f"{_joined({'alg': 'none'}, self.claims())}."

    def confused(self) -> str:
        """Return a token of HS256 that is signed with the text of the public key."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = _joined({"alg": "HS256", "kid": self.kid}, self.claims())
        return f"{signed}.{_encoded(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def _joined(head: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"authorization": f"Bearer {token}"}


@dataclass
class Models:
    """Models that tests play: what has reached each, and with which headers."""

    reached: Counter[str] = field(default_factory=Counter)
    headers: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    async def answer(self, name: str, request: web.Request) -> web.Response:
        """Count a request, and note its headers in lower case."""
        self.reached[name] += 1
        self.headers = {key.lower(): value for key, value in request.headers.items()}
        return web.Response(text=name)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets."""

    status: int
    body: str
    challenge: str = ""
    kind: str = ""


class CheckedGateway:
    """A real Envoy that checks callers, before models that count."""

    def __init__(self, envoy: EnvoyUnderTest, models: Models, session: aiohttp.ClientSession) -> None:
        self.envoy, self.models, self._session = envoy, models, session

    async def load(self, plan: Plan, **changes: Any) -> None:
        """Have Envoy run what is rendered for a plan."""
        await self.envoy.load(self.snapshot(objects_of(plan), **changes))
        assert self.envoy.ads.rejections == []

    def snapshot(self, objects: list[Manifest]) -> Snapshot:
        """Return what the gateway runs, with the models that tests play behind its clusters."""
        made = snapshot(config_of(objects), self.envoy.pod({"istio": "shared"}, "inference-gw"))
        return {**made, ENDPOINT: {cluster: self._behind(cluster) for cluster in made[ENDPOINT]}}

    def _behind(self, cluster: str) -> dict[str, Any]:
        service, namespace, *_ = cluster.rsplit("|", 1)[1].split(".")
        port = self.models.ports[f"{namespace}/{service}"]
        place = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": place}}]}]}

    async def ask(self, host: str, path: str, headers: Mapping[str, str] | list[tuple[str, str]] = ()) -> Answer:
        """Send a request; what follows `HOST` in a Host header is the caller's."""
        url = f"http://{self.envoy.address}:8080{path}"
        given = [("Host", host), *(headers.items() if isinstance(headers, Mapping) else headers)]
        async with self._session.get(URL(url, encoded=True), headers=CIMultiDict(given)) as answer:
            challenge = answer.headers.get("www-authenticate", "")
            return Answer(answer.status, await answer.text(), challenge, answer.headers.get("content-type", ""))


def objects_of(plan: Plan) -> list[Manifest]:
    """Return everything that is rendered for a plan."""
    desired = Renderer().render(plan)
    return [*desired.objects.values(), *desired.slots.values()]


def planned(documents: list[dict[str, Any]], *access: TenantAccess) -> Plan:
    """Return the plan of documents, with callers of these tenants."""
    return with_access(plan_once(world_of([parse(document) for document in documents])), *access)


def with_access(plan: Plan, *access: TenantAccess) -> Plan:
    """Return the plan with callers of these tenants only."""
    return replace(plan, access={one.tenant: one for one in access})


def access_of(
    plan: Plan, name: str, signer: Signer, callers: tuple[CallerFacts, ...], public: tuple[str, ...] = (), **more: Any
) -> TenantAccess:
    """Return the access of a tenant of a plan whose namespace is named as itself."""
    issuers = more.pop("issuers", (signer.facts(),))
    authentication = AuthenticationFacts(issuers, callers, **more)
    models = tuple(
        (one, names.identity_of(served).route) for (space, one), served in plan.models.items() if space == name
    )
    return TenantAccess(name, name, authentication, models, frozenset(public))


@asynccontextmanager
async def checked_gateway(folder: Path, *models: str, binary: str = "") -> AsyncIterator[CheckedGateway]:
    """Run an Envoy and models of these names (namespace/name)."""
    played = Models()
    async with AsyncExitStack() as stack:
        for name in models:
            app = web.Application()
            app.router.add_route("*", "/{rest:.*}", _answering(played, name))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, max_field_size=65536)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            played.ports[name] = int(runner.addresses[0][1])
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        envoy = await stack.enter_async_context(running_envoy(folder, binary))
        yield CheckedGateway(envoy, played, session)


def _answering(played: Models, name: str) -> Any:
    async def answer(request: web.Request) -> web.Response:
        return await played.answer(name, request)

    return answer
