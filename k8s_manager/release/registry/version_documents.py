"""From what MLflow lists to the ModelVersions to write: new ones, aliases that have moved, what was added since. Pure.

The manager writes only over documents that it has made (`spec.registry`), and in these only what people do not: a
version that says another source than when it was read keeps the one that was read. One that was deleted here is not
made again, unless an alias points at it; that is what `mark` is for, the highest number that was looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from istio_templates.documents.fields import brief
from istio_templates.documents.versions.model_version import MOST_ALIASES, document_name
from istio_templates.facts import Manifest
from k8s_manager.release.registry.registry_answer import LeftOut, RegisteredVersion, RegistryListing, version_number
from k8s_manager.release.registry.version_content import content_of, document_of, moment_of

MOST_AT_ONCE = 20
"""Versions that are made in one round: the run of each is read."""
_FIXED = ("uri", "image", "digest", "dataUntil")


@dataclass(frozen=True, slots=True)
class RegistryTarget:
    """A model whose versions are those of a registered model: its place, the name there, and the alias that decides (of
    too many aliases that one is kept)."""

    namespace: str
    model: str
    name: str
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryRound:
    """What one look at a registered model asks for: the versions to make, as many as fit in a round; the documents to
    write over, those that lose an alias first, each with the one that it was made from; what is left out and why; the
    mark after it; whether more versions wait for the next round; how many were deleted here and stay so."""

    new: tuple[RegisteredVersion, ...]
    changed: tuple[tuple[Manifest, Manifest], ...]
    left_out: tuple[LeftOut, ...]
    mark: int
    is_more: bool
    deleted: int


def round_of(target: RegistryTarget, listing: RegistryListing, live: Iterable[Manifest], mark: int) -> RegistryRound:
    """Return what to do; `live` are the ModelVersions of the model."""
    documents = {str(one["metadata"]["name"]): one for one in live}
    own = {number: one for one in documents.values() if (number := _number_of(one, target.name)) is not None}
    known = min(mark, max((one.number for one in listing.versions), default=mark))
    new, waiting, left_out, deleted = [], [], list(listing.left_out), 0
    for version in listing.versions:
        content, flaws = content_of(version, target.namespace, target.model)
        left_out += flaws
        if version.number in own:
            left_out += _contradictions(version, content, own[version.number])
        elif version.is_ready is None:
            waiting.append(version.number)
        elif not version.is_ready:
            left_out.append(LeftOut(version.name, "is not ready in MLflow"))
        elif document_name(target.model, version.name) in documents:
            left_out.append(LeftOut(version.name, "is registered here by others; that one counts"))
        elif content and (version.number > known or listing.aliases_of(version.number)):
            new.append(version)
        elif content:
            deleted += 1
    batch = [one for one in new if listing.aliases_of(one.number)][:MOST_AT_ONCE]
    batch += [one for one in new if one not in batch][: MOST_AT_ONCE - len(batch)]
    later = [one.number for one in new if one not in batch]
    changed = _changes(target, listing, documents.values())
    after = min([*waiting, *later], default=1 + max((one.number for one in listing.versions), default=known)) - 1
    return RegistryRound(
        tuple(sorted(batch, key=lambda one: one.number)),
        changed,
        tuple(left_out),
        max(known, after),
        bool(later),
        deleted,
    )


def new_document(
    target: RegistryTarget, version: RegisteredVersion, listing: RegistryListing, evaluations: Sequence[Manifest]
) -> Manifest:
    """Return the document of a version that is new."""
    content, _ = content_of(version, target.namespace, target.model)
    aliases = _kept(target, listing, version.number)
    spec: Manifest = {
        **content,
        **({"evaluations": list(evaluations)} if evaluations else {}),
        **({"aliases": aliases} if aliases else {}),
        "registry": {"name": target.name, "version": str(version.number)},
    }
    return document_of(target.namespace, target.model, version.name, spec)


def _changes(
    target: RegistryTarget, listing: RegistryListing, live: Iterable[Manifest]
) -> tuple[tuple[Manifest, Manifest], ...]:
    """Return the documents of the manager that change. Those of a registered model that the document named before lose
    their aliases."""
    listed = {one.number: one for one in listing.versions}
    found = []
    for one in live:
        origin, spec = one["spec"].get("registry"), one["spec"]
        if not isinstance(origin, dict) or "deletionTimestamp" in one["metadata"]:
            continue
        number = _number_of(one, target.name)
        aliases = _kept(target, listing, number) if number is not None else []
        wanted = {**spec, **_added(target, listed.get(number or 0), spec), "aliases": aliases}
        wanted = {name: value for name, value in wanted.items() if name != "aliases" or value}
        if wanted != spec:
            found.append((one, {**one, "spec": wanted}))
    return tuple(sorted(found, key=lambda pair: _loses(pair[0], pair[1]), reverse=True))


def _loses(before: Manifest, after: Manifest) -> bool:
    """Tell whether a document loses an alias; that is written first, so that none has two owners in between."""
    return not set(before["spec"].get("aliases") or ()) <= set(after["spec"].get("aliases") or ())


def _added(target: RegistryTarget, version: RegisteredVersion | None, spec: Manifest) -> Manifest:
    """Return what MLflow says now and did not say when a version was read: its tags, where nothing stood."""
    if version is None:
        return {}
    content, _ = content_of(version, target.namespace, target.model)
    added = {name: value for name, value in content.items() if name not in spec}
    stand_in = moment_of(version.created)
    if "dataUntil" in content and stand_in is not None and spec.get("dataUntil") == stand_in:
        added["dataUntil"] = content["dataUntil"]
    return added


def _contradictions(version: RegisteredVersion, content: Mapping[str, Any], live: Manifest) -> Iterable[LeftOut]:
    """Yield in what a version says something else than when it was read; the moment of its making is no statement."""
    spec, stand_in = live["spec"], moment_of(version.created)
    for name in _FIXED:
        here, there = spec.get(name), content.get(name)
        if there is None or here is None or here == there or (name == "dataUntil" and stand_in in (here, there)):
            continue
        said = (
            f"says {name} {brief(there)}, and said {brief(here)} when it was read; that stays, register a new version"
        )
        yield LeftOut(version.name, said)


def _kept(target: RegistryTarget, listing: RegistryListing, number: int) -> list[str]:
    """Return the aliases of a version that fit into its document."""
    found = sorted(listing.aliases_of(number), key=lambda alias: (alias != target.alias, alias))
    return sorted(found[:MOST_ALIASES])


def _number_of(document: Manifest, name: str) -> int | None:
    """Return the number under which a document was read from a registered model; None where it was not."""
    origin = document["spec"].get("registry")
    if not isinstance(origin, dict) or origin.get("name") != name:
        return None
    return version_number(origin.get("version"))
