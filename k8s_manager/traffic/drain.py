"""Drain of versions that have left their model's document: how long their pods stay. Pure.

Nothing is routed to them any more. They stay so that requests under way may end, and so that they are still warm if the
owner takes the change back within that time. The model's status holds the end, so that a restarted manager keeps to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.fields import span
from istio_templates.facts import Manifest
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.world import Stored, World

OF_VERSION = ("Deployment", "PodDisruptionBudget")


@dataclass(slots=True)
class Draining:
    """By namespace and model, until when each version that has left stays; an end that has passed is in the status as
    long as something of the version is there, or else its drain would begin again."""

    until: dict[tuple[str, str], dict[str, datetime]] = field(default_factory=dict)

    def due(self, now: datetime) -> float | None:
        """Return in how many seconds the next drain ends."""
        ends = [end for versions in self.until.values() for end in versions.values() if end > now]
        return max(0.0, (min(ends) - now).total_seconds()) if ends else None

    def status(self, namespace: str, model: str) -> list[dict[str, str]]:
        """Return the versions that drain, for a model's status."""
        versions = self.until.get((namespace, model), {})
        return [{"version": name, "until": _text(end)} for name, end in sorted(versions.items())]


def defer_draining(deletes: Iterable[Manifest], world: World, now: datetime) -> tuple[list[Manifest], Draining]:
    """Return which of these objects are to be deleted now, and which versions stay for a while."""
    found, draining = list(deletes), Draining()
    if not any(obj["kind"] in OF_VERSION for obj in found):
        return found, draining
    models = {(stored.key.namespace, stored.key.name): stored for stored in world.models}
    going = []
    for obj in found:
        labels = obj["metadata"].get("labels", {})
        place, version = (obj["metadata"].get("namespace", ""), labels.get(names.MODEL, "")), labels.get(names.VERSION)
        stored = models.get(place)
        if obj["kind"] not in OF_VERSION or not version or stored is None or not _has_left(stored, version, world):
            going.append(obj)
        elif version in _versions(stored):
            continue  # it serves until another version can
        else:
            end = draining.until.setdefault(place, {})[version] = _end(stored, version, now)
            going += [obj] if end <= now else []
    return going, draining


def _has_left(stored: Stored[ModelSpec], version: str, world: World) -> bool:
    """Tell whether a version is none of the document; it may serve nevertheless."""
    if stored.deleting or stored.document is None:
        return False
    return version in world.departed.get((stored.key.namespace, stored.key.name), ()) or version not in _versions(
        stored
    )


def _versions(stored: Stored[ModelSpec]) -> set[str]:
    return {version.name for version in stored.spec.versions} if stored.spec else set()


def _end(stored: Stored[ModelSpec], version: str, now: datetime) -> datetime:
    """Return until when a version stays: as the status says, or from now on as long as the document says."""
    assert stored.spec is not None
    longest = now + span(stored.spec.drain)
    return min(longest, _told(stored, version) or longest)


def _told(stored: Stored[ModelSpec], version: str) -> datetime | None:
    """Return the end in the status; None where it cannot be read, or was written by another writer."""
    try:
        ends = {told["version"]: datetime.fromisoformat(told["until"]) for told in stored.status.get("draining") or []}
        end = ends.get(version)
        return end if end is None or end.tzinfo else None
    except (KeyError, TypeError, ValueError):
        return None


def _text(moment: datetime) -> str:
    """Return a moment to the second, never an earlier one."""
    return timestamp(moment + timedelta(microseconds=999_999))
