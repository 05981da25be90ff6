"""How a managed gateway ends old connections: safely, from the next rollout of its pods on. Pure.

The setting is in the EnvoyFilter that inserts the slots. A change of it drains the listeners of every gateway pod, so
that it waits for what ends their connections anyway: pods with the defaults that came with the same release.
"""

from collections.abc import Mapping

from istio_templates import names
from istio_templates.envoy_filter import with_abrupt_ends
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.digest import digest_of, stamped
from k8s_manager.drift.pod_defaults import has_pod_defaults


def with_known_ends(wanted: Manifest, live: Manifest | None, owned: Mapping[ObjectKey, Manifest]) -> Manifest:
    """Return the insertion of slots as it should stand beside the gateway's live pods."""
    gateway = wanted["metadata"]["labels"].get(names.GATEWAY, "")
    if wanted["kind"] != "EnvoyFilter" or live is None or not gateway:
        return wanted
    before = with_abrupt_ends(wanted)
    if digest_of(live) != digest_of(stamped(before)) or before == wanted:
        return wanted
    pods = owned.get(ObjectKey("Deployment", wanted["metadata"]["namespace"], gateway))
    return before if pods is not None and not has_pod_defaults(pods) else wanted
