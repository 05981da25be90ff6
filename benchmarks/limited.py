"""A gateway's Envoy with one route under a limit in its slot, for benchmarks of the limit alone."""

from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.envoy_filter import insertion
from istio_templates.facts import Bucket, GatewayPool, Listener, SlotFacts
from k8s_manager.standalone.translator.config import Config
from k8s_manager.standalone.translator.snapshot import Snapshot, snapshot
from ratelimiter.slots import slot_of
from tests.support.envoy import EnvoyUnderTest

POOL = GatewayPool("shared", "inference-gw", (("istio", "inference-gw"),), (Listener("http", 8080, "HTTP"),))
HOST = "search.models.example.com"


def limited(envoy: EnvoyUnderTest, bucket: Bucket, neighbour: int = 0) -> Snapshot:
    """Return a gateway with one route under a limit, and a neighbour in its slot whose limit is another each time."""
    number = slot_of("search", "ranker")
    contents = (
        (names.identity("search", "ranker"), bucket),
        (names.identity("search", "neighbour"), Bucket(10 + neighbour, 1, 2)),
    )
    slots = [render_slot(SlotFacts(POOL, n, contents if n == number else ())) for n in range(names.SLOTS)]
    gateway = {
        "metadata": {"name": "g", "namespace": "inference-gw"},
        "spec": {
            "selector": {"istio": "inference-gw"},
            "servers": [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*/*"]}],
        },
    }
    route = {
        "metadata": {"name": "ranker", "namespace": "search"},
        "spec": {
            "hosts": [HOST],
            "gateways": ["inference-gw/g"],
            "http": [{"name": "r", "match": [{"uri": {"prefix": "/"}}], "directResponse": {"status": 200}}],
        },
    }
    filters = [insertion(POOL), *(obj for slot in slots for obj in slot)]
    config = Config(gateways=[gateway], virtual_services=[route], envoy_filters=filters)
    return snapshot(config, envoy.pod({"istio": "inference-gw"}, "inference-gw"))
