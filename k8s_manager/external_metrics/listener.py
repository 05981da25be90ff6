"""The TLS listener: it asks for a client certificate, and takes new certificates and authorities as they come.

It begins to listen when both are known: its own certificate, which the leader puts into a Secret, and the authorities
that prove the API server.
"""

import asyncio
import logging
import os
import ssl

from starlette.types import ASGIApp

from istio_templates.errors import TidegateError
from istio_templates.facts import ObjectKey
from k8s_manager.api.listener.server import serve_over_tls
from k8s_manager.api.listener.tls_acceptor import TlsAcceptor
from k8s_manager.external_metrics.peer_connection import AUTHORITIES, PeerConnection
from k8s_manager.external_metrics.registration import ServingPlace
from k8s_manager.external_metrics.request_header import CONFIG, RequestHeaderTrust, trust_of
from k8s_manager.external_metrics.tls_material import ServingMaterial, material_in
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.settings import ConnectionBounds

log = logging.getLogger(__name__)
EVERY, AT_FIRST = 15.0, 1.0
"""Seconds between two reads of certificate and authorities; until both are known, of the first ones."""


class MetricsListener:
    """Reads what is served and trusted, and serves with what it has read last."""

    def __init__(self, client: KubeClient, clock: Clock, place: ServingPlace, listen: tuple[str, int]) -> None:
        self._client, self._clock, self._place, self._listen = client, clock, place, listen
        self.trust: RequestHeaderTrust | None = None
        self._material: ServingMaterial | None = None
        self._context: ssl.SSLContext | None = None
        self._acceptor: TlsAcceptor | None = None
        self._problems: dict[ObjectKey, str] = {}

    async def run(self, app: ASGIApp, stop: asyncio.Event) -> None:
        """Serve until `stop`; raises `Stalled` where nothing can listen there."""
        while self._context is None and not stop.is_set():
            await self.refresh()
            if self._context is None:
                await self._clock.wait(stop, AT_FIRST)
        if self._context is None:
            return
        following = asyncio.create_task(self._follow())
        bounds = ConnectionBounds()
        try:
            log.info("external metrics are served on %s:%s", *self._listen)
            await serve_over_tls(app, self._listen, stop, self._context, bounds, PeerConnection, self._take)
        finally:
            following.cancel()

    async def refresh(self) -> None:
        """Read certificate and authorities, and use them for new connections; what cannot be read stays as it was."""
        material, trust = await self._read_material() or self._material, await self._read_trust() or self.trust
        if material is None or trust is None or (material == self._material and trust == self.trust):
            return
        try:
            context = self._context
            if context is None or (material, trust.authorities) != (self._material, AUTHORITIES[context]):
                context = context_of(material, trust.authorities)
        except (OSError, ssl.SSLError) as error:
            self._note(self._place.secret, f"it is not taken, the last one serves on: {error}")
            return
        self._material, self.trust, self._context = material, trust, context
        if self._acceptor is not None:
            self._acceptor.context = context

    def _take(self, acceptor: TlsAcceptor) -> None:
        self._acceptor = acceptor

    async def _follow(self) -> None:
        while True:
            await self._clock.wait(asyncio.Event(), EVERY)
            await self.refresh()

    async def _read_material(self) -> ServingMaterial | None:
        problem = "it has no certificate to serve external metrics with; the leader makes one"
        try:
            live = await read_live(self._client, self._place.secret)
            if live is not None and (found := material_in(live)) is not None:
                return found
        except TidegateError as error:
            problem = str(error)
        self._note(self._place.secret, problem)
        return None

    async def _read_trust(self) -> RequestHeaderTrust | None:
        try:
            return trust_of(await self._client.get(CONFIG))
        except TidegateError as error:
            self._note(CONFIG, str(error))
            return None

    def _note(self, key: ObjectKey, problem: str) -> None:
        """Log a problem once."""
        if self._problems.get(key) != problem:
            log.warning("external metrics: %s: %s", key, problem)
            self._problems[key] = problem


def context_of(material: ServingMaterial, authorities: str) -> ssl.SSLContext:
    """Return a TLS context that serves a certificate and takes client certificates of some authorities (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Optional, so that who has none reads why it is refused; an unproved one ends the handshake.
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authorities)
    _load(context, material.certificate + material.key)
    AUTHORITIES[context] = authorities
    return context


def _load(context: ssl.SSLContext, text: str) -> None:
    """Load certificate and key from memory: they are on no disk, and the image's file system is read-only."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, text.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
