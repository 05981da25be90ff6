"""The slots of the gateways, read back from their EnvoyFilters."""

from dataclasses import replace
from functools import partial

from istio_templates import names
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import LimitKey, Manifest
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last, Memo
from ratelimiter.controller import Limits, Slot


class SlotReader:
    """Reads the EnvoyFilter of each slot once for each of its versions."""

    def __init__(self, store: Store) -> None:
        self._store, self._memo = store, Memo()
        self._limited, self._objects = Last(), Last()

    def limits(self) -> dict[Slot, Limits]:
        """Return what every slot of every gateway limits now."""
        return {
            slot: self._memo.get(("slot", slot), (obj["metadata"]["resourceVersion"],), partial(_limits, slot, obj))
            for slot, obj in self.objects().items()
        }

    def limited(self) -> frozenset[tuple[str, LimitKey]]:
        """Return (gateway, identity) of every limit that is in a slot."""
        return self._limited.get((self._store.changes("EnvoyFilter"),), self._read_limited)

    def objects(self) -> dict[Slot, Manifest]:
        """Return the EnvoyFilter of every slot of every gateway."""
        return self._objects.get((self._store.changes("EnvoyFilter"),), self._read_objects)

    def end_round(self) -> None:
        """Forget slots that were not asked for since the last call."""
        self._memo.end_round()

    def _read_limited(self) -> frozenset[tuple[str, LimitKey]]:
        return frozenset((pool, identity) for (pool, _), found in self.limits().items() for identity, _ in found)

    def _read_objects(self) -> dict[Slot, Manifest]:
        out: dict[Slot, Manifest] = {}
        for obj in self._store.all("EnvoyFilter"):
            pool = obj["metadata"].get("labels", {}).get(names.GATEWAY, "")
            number = obj["metadata"]["name"].removeprefix(f"tidegate-{pool}-slot-")
            if pool and number.isdigit():
                out[pool, int(number)] = obj
        return out


def _limits(slot: Slot, obj: Manifest) -> Limits:
    """Return what a slot limits. In a shared slot a limit is enforced for all requests."""
    found = limits_of(obj)
    return found if slot[1] < names.PINNED_SLOTS else tuple((key, replace(b, enforced=100)) for key, b in found)
