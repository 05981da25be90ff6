"""Lease of a measurement: one at a time for a model, since each drives a replica to its limits. The Lease has an
end."""

from datetime import datetime, timedelta

from istio_templates.errors import Conflict, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.base_version import read_live
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import WriteConflict
from k8s_manager.kube.lease import micro_time
from k8s_manager.world.installation import SYSTEM


async def reserve(client: KubeClient, model: ObjectKey, holder: str, seconds: int, now: datetime) -> datetime:
    """Have a model for `holder` until so many seconds from now, 0 to give it back; return until when.

    Raises `Conflict` while another holder has it.
    """
    key = ObjectKey("Lease", SYSTEM, f"measure.{model.namespace}.{model.name}")
    live = await read_live(client, key)
    if live and live["spec"].get("holderIdentity") not in (holder, "", None) and now < (end := _end(live, now)):
        said = f"another measurement runs until {end:%H:%M:%S} UTC; wait for that, or measure another model"
        raise Conflict(str(model), [Problem("", said)])
    spec = {
        "holderIdentity": holder if seconds else "",
        "leaseDurationSeconds": max(1, seconds),
        "renewTime": micro_time(now),
    }
    metadata = live["metadata"] if live else {"name": key.name, "namespace": key.namespace}
    lease: Manifest = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    try:
        await (client.replace(lease) if live else client.create(lease))
    except WriteConflict as error:
        raise Conflict(str(model), [Problem("", "another measurement has just begun; try again")]) from error
    return now + timedelta(seconds=seconds)


def _end(lease: Manifest, now: datetime) -> datetime:
    """Return until when a Lease is held; one that cannot be read is over."""
    try:
        renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
        return renewed + timedelta(seconds=lease["spec"]["leaseDurationSeconds"])
    except (KeyError, TypeError, ValueError):
        return now
