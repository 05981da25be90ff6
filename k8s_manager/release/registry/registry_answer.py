"""Answers of MLflow, read with suspicion: whatever stands there may be missing, odd, or another model's. Pure.

An answer as a whole that cannot be read raises `OddRegistryAnswer`; one version that cannot is left out with a reason.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from istio_templates.documents.fields import brief
from istio_templates.errors import NotFound, Transient

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")
MOST_LISTED = 2000
"""Aliases, tags and metrics that are looked at in one answer."""


class RegistryUnavailable(Transient):
    """The registry does not answer, or refuses to."""


class OddRegistryAnswer(Transient):
    """The registry answers something else than what was asked."""


class RegisteredModelAbsent(NotFound):
    """There is no registered model of a name."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version as MLflow has it: `created` in milliseconds since 1970 (None: not a number), `is_ready` None where it
    is still being made, `run` the run that it came from (empty: none is known)."""

    number: int
    source: str
    created: int | None = None
    is_ready: bool | None = True
    run: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The version's name in documents."""
        return f"v{self.number}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A version, or what is said of it, that is not taken over, and why, as a clause."""

    version: str
    why: str


@dataclass(frozen=True, slots=True)
class RegistryListing:
    """The newest versions of a registered model, each once, and the number of the version that each alias points at."""

    versions: tuple[RegisteredVersion, ...] = ()
    aliases: Mapping[str, int] | None = None
    left_out: tuple[LeftOut, ...] = ()

    def aliases_of(self, number: int) -> tuple[str, ...]:
        """Return the aliases of a version, in their order."""
        return tuple(sorted(alias for alias, pointed in (self.aliases or {}).items() if pointed == number))


@dataclass(frozen=True, slots=True)
class VersionPage:
    """A page of versions, and the token of the next one (empty: the last)."""

    versions: tuple[RegisteredVersion, ...]
    left_out: tuple[LeftOut, ...]
    next: str


@dataclass(frozen=True, slots=True)
class RunMetric:
    """The last value of a metric of a run; `at` in milliseconds since 1970."""

    key: str
    value: Any
    at: Any
    dataset: str = ""


def aliases_in(answer: Any, name: str) -> dict[str, int]:
    """Return the aliases of a registered model, each with the version that it points at."""
    model = _mapping(answer, "registered_model")
    _require_name(model, name)
    found: dict[str, int] = {}
    for one in _items(model, "aliases"):
        alias, number = one.get("alias"), version_number(one.get("version"))
        if isinstance(alias, str) and _ALIAS.fullmatch(alias) and number is not None:
            found[alias] = number
    return found


def page_in(answer: Any, name: str) -> VersionPage:
    """Return the versions on a page."""
    if not isinstance(answer, dict):
        raise OddRegistryAnswer(f"MLflow answers {brief(answer)} instead of a page of versions")
    found = [version_in(one, name) for one in _items(answer, "model_versions")]
    token = answer.get("next_page_token")
    return page_of(found, token if isinstance(token, str) else "")


def page_of(found: Sequence[RegisteredVersion | LeftOut], token: str = "") -> VersionPage:
    """Return what was read as a page."""
    versions = tuple(one for one in found if isinstance(one, RegisteredVersion))
    return VersionPage(versions, tuple(one for one in found if isinstance(one, LeftOut)), token)


def version_in(one: Mapping[str, Any], name: str) -> RegisteredVersion | LeftOut:
    """Return a version, or why it is left out."""
    number, source = version_number(one.get("version")), one.get("source")
    if number is None:
        return LeftOut(brief(one.get("version")), "is no number of a version")
    if one.get("name") != name:
        return LeftOut(f"v{number}", f"is said to be of {brief(one.get('name'))}")
    if not isinstance(source, str) or not source:
        return LeftOut(f"v{number}", "says no source")
    run, created, status = one.get("run_id"), one.get("creation_timestamp"), one.get("status")
    is_ready = {"READY": True, "PENDING_REGISTRATION": None}.get(str(status), status is None)
    return RegisteredVersion(
        number=number,
        source=source,
        created=_whole(created),
        is_ready=is_ready,
        run=run if isinstance(run, str) else "",
        tags=tuple(
            (key, value)
            for tag in _items(one, "tags")
            if isinstance(key := tag.get("key"), str) and isinstance(value := tag.get("value"), str)
        ),
    )


def metrics_in(answer: Any, run: str) -> tuple[RunMetric, ...]:
    """Return the metrics of a run."""
    found = _mapping(answer, "run")
    info, data = found.get("info"), found.get("data")
    if not isinstance(info, dict) or info.get("run_id") != run:
        raise OddRegistryAnswer(f"MLflow answers another run than {brief(run)}")
    return tuple(_metrics(data if isinstance(data, dict) else {}))


def listing_of(pages: list[VersionPage], aliases: Mapping[str, int]) -> RegistryListing:
    """Return what pages and aliases say together; of two versions of one number the first counts."""
    versions: dict[int, RegisteredVersion] = {}
    left_out = [one for page in pages for one in page.left_out]
    for one in (version for page in pages for version in page.versions):
        known = versions.setdefault(one.number, one)
        if known != one:
            left_out.append(LeftOut(one.name, "is listed twice, with two contents; the first one counts"))
    return RegistryListing(tuple(sorted(versions.values(), key=lambda one: one.number)), aliases, tuple(left_out))


def _metrics(data: Mapping[str, Any]) -> Iterator[RunMetric]:
    for one in _items(data, "metrics"):
        key, dataset = one.get("key"), one.get("dataset_name")
        if isinstance(key, str):
            yield RunMetric(
                key, one.get("value"), _whole(one.get("timestamp")), dataset if isinstance(dataset, str) else ""
            )


def _require_name(model: Mapping[str, Any], name: str) -> None:
    if model.get("name") != name:
        raise OddRegistryAnswer(f"MLflow answers {brief(model.get('name'))} when asked for {brief(name)}")


def _mapping(answer: Any, name: str) -> Mapping[str, Any]:
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise OddRegistryAnswer(f"MLflow answers {brief(answer)}, without {name}")
    return found


def _items(found: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings in a list; whatever else is there is no item."""
    items = found.get(name)
    yield from (one for one in (items[:MOST_LISTED] if isinstance(items, list) else ()) if isinstance(one, dict))


def version_number(value: Any) -> int | None:
    """Return the number of a version, written as a number or as a text; None where it is none."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return int(text) if _NUMBER.fullmatch(text) else None


def _whole(value: Any) -> int | None:
    """Return a whole number, which MLflow writes as a number or, being one of 64 bits, as a text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,16}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
