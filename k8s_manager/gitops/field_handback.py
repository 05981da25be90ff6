"""Release the fields that the manager wrote before manifests went through Git, once another writer owns all of them.

As long as two clients own a field by server-side apply, neither can take it away: what leaves the tree would stay in
the cluster. A tool that applies on the client's side (`kubectl apply` without `--server-side`) removes fields no matter
who owns them, and owns few itself: there the manager releases nothing.
"""

import logging

from istio_templates import names
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest
from k8s_manager.gitops.ownership import is_runtime
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.resources import OWNED, RESOURCES

log = logging.getLogger(__name__)
_OURS = f"{names.MANAGED_BY}={names.MANAGER}"


async def give_up(client: FencedClient) -> int:
    """Release all of Git's objects that another client owns as well; return how many. Raises `TidegateError`."""
    count = 0
    for kind in OWNED:
        try:
            found, _ = await client.list(RESOURCES[kind], _OURS)
        except Absent:
            continue
        for obj in filter(is_yielded, found):
            # With its uid, so that what is gone meanwhile is not made again, empty.
            named = {name: obj["metadata"][name] for name in ("name", "namespace", "uid") if name in obj["metadata"]}
            try:
                await client.apply({"apiVersion": obj["apiVersion"], "kind": kind, "metadata": named}, force=True)
                count += 1
            except TidegateError as error:
                log.warning("%s stays the manager's as well: %s", names.key_of(obj), error)
    if count:
        log.info("%s objects that the manager wrote are Git's alone now", count)
    return count


def is_yielded(obj: Manifest) -> bool:
    """Tell whether an object is Git's, and another client owns by server-side apply all that the manager owns."""
    if is_runtime(obj):
        return False
    ours: list[Manifest] = []
    theirs: list[Manifest] = []
    for entry in obj["metadata"].get("managedFields") or []:
        if entry.get("operation") == "Apply" and not entry.get("subresource"):
            (ours if entry.get("manager") == names.MANAGER else theirs).append(entry.get("fieldsV1") or {})
    return bool(ours) and any(all(_covers(fields, own) for own in ours) for fields in theirs)


def _covers(fields: Manifest, others: Manifest) -> bool:
    """Tell whether one set of fields (FieldsV1) holds all of another."""
    return all(name in fields and _covers(fields[name], below) for name, below in others.items())
