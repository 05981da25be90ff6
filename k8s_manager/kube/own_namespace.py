"""The manager's own namespace, where it runs outside of it."""

from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.store import Store
from k8s_manager.world.installation import SYSTEM


async def ensure_namespace(client: KubeClient, store: Store, namespace: str) -> None:
    """Make the manager's own namespace if something goes there and it is not there."""
    if namespace == SYSTEM and store.get(ObjectKey("Namespace", "", SYSTEM)) is None:
        own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
        store.put(await client.apply(own, force=False))
