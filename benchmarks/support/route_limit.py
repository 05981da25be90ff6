"""A gateway's Envoy with one route under a limit in its slot, for benchmarks of the limit alone."""

from collections.abc import Mapping, Sequence

from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.envoy_filter import insertion
from istio_templates.facts import Bucket, GatewayPool, ListenerFacts, Manifest, SlotFacts
from k8s_manager.standalone.translator.config import Config
from k8s_manager.standalone.translator.snapshot import Snapshot, snapshot
from ratelimiter.controller import Limits
from ratelimiter.slots import slot_of
from tests.support.envoy import EnvoyUnderTest

POOL = GatewayPool("shared", "inference-gw", (("istio", "inference-gw"),), (ListenerFacts("http", 8080, "HTTP"),))
HOST = "search.models.example.com"


def limited(envoy: EnvoyUnderTest, bucket: Bucket, neighbour: int = 0) -> Snapshot:
    """Return a gateway with one route under a limit, and a neighbour in its slot whose limit is another each time."""
    contents = (
        (names.identity("search", "ranker"), bucket),
        (names.identity("search", "neighbour"), Bucket(10 + neighbour, 1, 2)),
    )
    return with_slots(envoy, {slot_of("search", "ranker"): contents}, {"ranker": "/"})


def with_slots(
    envoy: EnvoyUnderTest,
    slots: Mapping[int, Limits],
    routes: Mapping[str, str],
    number: int = names.SLOTS,
    more: Sequence[Manifest] = (),
) -> Snapshot:
    """Return a gateway with so many slots and what is in them, routes (path by name) that it answers itself, and more
    EnvoyFilters."""
    rendered = [obj for n in range(number) for obj in render_slot(SlotFacts(POOL, n, slots.get(n, ())))]
    gateway = {
        "metadata": {"name": "g", "namespace": "inference-gw"},
        "spec": {
            "selector": {"istio": "inference-gw"},
            "servers": [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*/*"]}],
        },
    }
    filters = [*([insertion(POOL, number), *rendered] if number else []), *more]
    services = [_route(name, path) for name, path in routes.items()]
    config = Config(gateways=[gateway], virtual_services=services, envoy_filters=filters)
    return snapshot(config, envoy.pod({"istio": "inference-gw"}, "inference-gw"))


def _route(name: str, path: str) -> Manifest:
    answer = {"name": name, "match": [{"uri": {"prefix": path}}], "directResponse": {"status": 200}}
    spec = {"hosts": [HOST], "gateways": ["inference-gw/g"], "http": [answer]}
    return {"metadata": {"name": name, "namespace": "search"}, "spec": spec}
