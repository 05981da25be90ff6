"""The aggregated discovery service: what each gateway pod should run, sent whenever it changes.

State of the world, one stream per Envoy. A type that is subscribed by name gets what has changed of the named
resources only; clusters and listeners are always sent whole, since what is missing is removed.

A route never names a cluster that an Envoy does not have: route tables wait until new clusters are warm, and a cluster
stays until the tables without it are acknowledged
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol, "eventual consistency considerations").
"""

import asyncio
import hashlib
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import json_format
from udpa.type.v1 import typed_struct_pb2

from k8s_manager.standalone.translator.config import GatewayPod
from k8s_manager.standalone.translator.packer import Packer
from k8s_manager.standalone.translator.snapshot import CLUSTER, ENDPOINT, LISTENER, ORDER, ROUTE, Object, Snapshot

log = logging.getLogger(__name__)
_WHOLE = (CLUSTER, LISTENER)
_PREFIX = "type.googleapis.com/"
Source = Callable[[GatewayPod], Snapshot]


@dataclass(frozen=True, slots=True)
class EnvoyRejection:
    """A configuration that an Envoy refused, in its words."""

    node: str
    type: str
    message: str


@dataclass(slots=True)
class Subscription:
    """What one Envoy asked of one type, and what it was sent: a hash per resource.

    An Envoy may answer several responses of a type by one request, with the nonce of the last.
    """

    names: frozenset[str] = frozenset()
    sent: dict[str, str] = field(default_factory=dict)
    nonce: str = ""
    unanswered: bool = False


class Ads(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    """Serves every gateway pod from `source`; `changed` is set when it may give another snapshot."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._streams: set[Stream] = set()
        self.rejections: list[EnvoyRejection] = []
        self.packer = Packer()

    @property
    def settled(self) -> bool:
        """Whether every Envoy has answered everything that was sent."""
        return bool(self._streams) and all(stream.settled for stream in self._streams)

    def changed(self) -> None:
        """Send every Envoy what is new for it."""
        for stream in self._streams:
            stream.refresh.set()

    async def StreamAggregatedResources(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Serve one Envoy."""
        stream = Stream(self, self._source)
        self._streams.add(stream)
        reader = asyncio.create_task(stream.read(requests))
        try:
            async for response in stream.responses():
                yield response
        finally:
            reader.cancel()
            self._streams.discard(stream)


class Stream:
    """One Envoy: its pod, its subscriptions, and the answers that wait to be sent."""

    def __init__(self, ads: Ads, source: Source) -> None:
        self._ads, self._source = ads, source
        self._pod: GatewayPod | None = None
        self._node = ""
        self._subscriptions: dict[str, Subscription] = {}
        self._nonces = itertools.count(1)
        self._asked: set[str] = set()
        self._warm_again: set[str] = set()
        self._clusters: dict[str, Object] = {}
        self._leaving: set[str] = set()
        self._routes_wait = False
        self.refresh = asyncio.Event()
        self._ended = False

    @property
    def settled(self) -> bool:
        """Whether the Envoy has answered everything, and nothing more waits to be sent."""
        return not self._unanswered() and not self.refresh.is_set() and bool(self._subscriptions)

    def _unanswered(self) -> set[str]:
        return {kind for kind, subscription in self._subscriptions.items() if subscription.unanswered}

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Take in what the Envoy asks, acknowledges and rejects."""
        try:
            async for request in requests:
                if self._pod is None:
                    self._pod = _pod_of(request.node)
                    self._node = request.node.id
                self._take(request)
        finally:
            self._ended = True
            self.refresh.set()

    def _take(self, request: Any) -> None:
        kind = request.type_url.removeprefix(_PREFIX)
        subscription = self._subscriptions.setdefault(kind, Subscription())
        if request.HasField("error_detail"):
            rejection = EnvoyRejection(self._node, kind, request.error_detail.message)
            self._ads.rejections.append(rejection)
            log.error("%s rejected %s: %s", rejection.node, rejection.type, rejection.message)
        if subscription.unanswered and request.response_nonce == subscription.nonce:
            subscription.unanswered = False
            if self._leaving or self._routes_wait:
                self.refresh.set()
        names = frozenset(request.resource_names)
        if request.response_nonce and request.response_nonce != subscription.nonce and names == subscription.names:
            return
        if names - subscription.names or not request.response_nonce:
            subscription.sent = {
                name: sent for name, sent in subscription.sent.items() if name in subscription.names & names
            }
            self._asked.add(kind)
            self.refresh.set()
        subscription.names = names
        if kind == CLUSTER and self._warm_again and request.response_nonce:
            self._asked.add(ENDPOINT)
            self.refresh.set()

    async def responses(self) -> AsyncIterator[Any]:
        """Yield answers: to what was asked, and of what has changed, in the order of types."""
        while True:
            await self.refresh.wait()
            self.refresh.clear()
            if self._ended or self._pod is None:
                return
            asked, self._asked = self._asked, set()
            resources = self._source(self._pod)
            self._clusters = resources.get(CLUSTER, {}) | self._still_needed(resources.get(CLUSTER, {}))
            for kind in [kind for kind in ORDER if kind in self._subscriptions]:
                self._routes_wait = kind == ROUTE and not self._unanswered().isdisjoint({CLUSTER, ENDPOINT})
                if self._routes_wait:
                    self._asked |= asked & {ROUTE}
                    break
                wanted = self._clusters if kind == CLUSTER else resources.get(kind, {})
                if (response := self._response(kind, wanted, kind in asked)) is not None:
                    yield response
            if self._leaving and not self._unanswered():
                self.refresh.set()

    def _still_needed(self, clusters: dict[str, Object]) -> dict[str, Object]:
        """Return the clusters that are no longer desired but may be named by a route table that the Envoy runs."""
        gone = {name: cluster for name, cluster in self._clusters.items() if name not in clusters}
        if not self._unanswered() and not self._routes_wait:  # the last tables, made without these, are in force
            gone = {name: cluster for name, cluster in gone.items() if name not in self._leaving}
        self._leaving = set(gone)
        return gone

    def _response(self, kind: str, resources: dict[str, Object], asked: bool) -> Any:
        subscription = self._subscriptions[kind]
        wanted = (
            resources if kind in _WHOLE else {n: resources[n] for n in sorted(subscription.names) if n in resources}
        )
        hashes = {name: _hash(resource) for name, resource in wanted.items()}
        changed = {name for name, value in hashes.items() if subscription.sent.get(name) != value}
        if kind == ENDPOINT:
            changed |= self._warm_again & wanted.keys()
            self._warm_again -= changed
        gone = subscription.sent.keys() - hashes.keys()
        if not changed and not (kind in _WHOLE and (gone or (asked and not subscription.nonce))):
            return None
        if kind == CLUSTER:
            # A cluster that changes is warmed again and waits for its endpoints, though those are the same.
            self._warm_again |= changed & subscription.sent.keys()
        sent = wanted if kind in _WHOLE else {name: wanted[name] for name in sorted(changed)}
        subscription.sent = hashes
        subscription.nonce = str(next(self._nonces))
        subscription.unanswered = True
        return discovery_pb2.DiscoveryResponse(
            version_info=subscription.nonce,
            nonce=subscription.nonce,
            type_url=_PREFIX + kind,
            resources=self._ads.packer.pack(kind, sent.values()),
        )


def _pod_of(node: Any) -> GatewayPod:
    metadata = json_format.MessageToDict(node.metadata)
    return GatewayPod(metadata["NAMESPACE"], metadata["LABELS"], metadata["INSTANCE_IPS"])


def _hash(resource: Object) -> str:
    return hashlib.sha256(json.dumps(resource, sort_keys=True).encode()).hexdigest()


async def serve(ads: Ads, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """Start the service; return it and the port it listens on."""
    assert typed_struct_pb2.DESCRIPTOR is not None
    server = grpc.aio.server(options=[("grpc.max_send_message_length", 2**27), ("grpc.so_reuseport", 0)])
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(ads, server)
    bound = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    return server, bound
