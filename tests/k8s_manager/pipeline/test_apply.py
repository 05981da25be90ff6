"""What fails is left alone for a growing while, and what is skipped for it wakes nobody."""

from datetime import UTC, datetime

from k8s_manager.kube.errors import Refused, Unavailable
from k8s_manager.kube.store import Store
from k8s_manager.offline.offline_world import world_with
from k8s_manager.pipeline.apply import Basis, ClusterTarget
from k8s_manager.pipeline.changes import Changes, Write
from k8s_manager.pipeline.plan import Plan
from tests.features.test_drift import Hand

BASIS = Basis(datetime(2026, 1, 1, tzinfo=UTC), world_with([]), Plan())


class Kubernetes:
    """An API server that deletes nothing, and takes writes until it is told not to."""

    takes = True

    async def apply(self, obj, force):
        if not self.takes:
            raise Refused("apply", [])
        return obj

    async def get(self, key):
        return ours(key.kind, key.name, key.namespace)

    async def delete(self, key, uid):
        raise Unavailable("not now")


def ours(kind: str, name: str, namespace: str, **more: str) -> dict:
    labels = {"app.kubernetes.io/managed-by": "tidegate", "tidegate.dev/tenant": "search"}
    labels |= {f"tidegate.dev/{label}": value for label, value in more.items()}
    metadata = {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": "1", "labels": labels}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": {}}


async def test_a_delete_that_waits_for_a_write_does_not_run_the_loop_hot():
    clock, server = Hand(), Kubernetes()
    target = ClusterTarget(server, Store(("VirtualService", "Gateway"), clock), clock, 4)
    route, gateway = ours("VirtualService", "ranker", "search", model="ranker"), ours("Gateway", "tenant-search", "gw")
    changes = Changes(writes=[Write(route, False)], deletes=[gateway])
    assert [key.kind for key in (await target.apply(changes, BASIS)).failures] == ["Gateway"]
    server.takes, clock.at = False, 5.0
    results = await target.apply(changes, BASIS)  # the Gateway may be in use as long as the route is not written
    assert [key.kind for key in results.failures] == ["VirtualService"]
    assert min(failure.again_at for failure in results.failures.values()) > clock.now()
    server.takes, clock.at = True, 50.0
    assert [key.kind for key in (await target.apply(changes, BASIS)).failures] == ["Gateway"]  # tried again
