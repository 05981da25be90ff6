"""What runs at a gateway, as tables: its slots, what each pod runs of them, its load and certificates. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from k8s_manager.cli import columns

Item = Mapping[str, Any]


class DataplaneTable(NamedTuple):
    """A table with its title; `note` stands below it."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def dataplane_tables(found: Item, now: datetime) -> Iterator[DataplaneTable]:
    """Yield the tables of an answer of `/v1/gateways/{name}/dataplane`."""
    used = [slot for slot in found["slots"] if slot["limits"] or slot["pendingSince"] or slot["rolledBack"]]
    empty = len(found["slots"]) - len(used)
    yield DataplaneTable(
        "Slots:",
        ("SLOT", "USE", "LIMITS", "REVISION", "EFFECT", "NOTE"),
        [_slot(slot, now) for slot in used],
        f"{empty} more are empty" if empty else "",
    )
    load = {line["pod"]: line for line in found["load"]["pods"]}
    yield DataplaneTable(
        "Gateway pods:",
        ("POD", "CONFIG", "SINCE", "LOAD", "REFUSED", "NOT AS WRITTEN"),
        [_pod(pod, load.get(pod["pod"], {}), now) for pod in found["pods"]],
        f"{found['load']['state']}: {found['load']['message']}",
    )
    if found["certificates"]:
        head = ("SECRET", "STATE", "DAYS", "TENANT", "HOSTS", "MESSAGE")
        yield DataplaneTable("Certificates:", head, [_certificate(one, now) for one in found["certificates"]])


def days_left(moment: str | None, now: datetime) -> int | None:
    """Return how many whole days a certificate holds; below 0 where it has expired, None where there is none."""
    if not moment:
        return None
    return (datetime.fromisoformat(moment).astimezone(UTC) - now).days


def _slot(slot: Item, now: datetime) -> tuple[str, ...]:
    notes = [
        f"pending for {columns.age(slot['pendingSince'], now)}" if slot["pendingSince"] else "",
        "rolled back" if slot["rolledBack"] else "",
        f"sent {slot['sent']} times again" if slot["sent"] else "",
    ]
    took = "-" if slot["effectSeconds"] is None else f"{slot['effectSeconds']:.2f}s"
    said = "; ".join(filter(None, notes)) or "-"
    return str(slot["slot"]), slot["use"], str(slot["limits"]), slot["revision"], took, said


def _pod(pod: Item, load: Item, now: datetime) -> tuple[str, ...]:
    wrong = [f"{one['slot']} runs {one['revision'] or 'nothing'}" for one in pod["slots"] if one["state"] != "Applied"]
    since = pod["silentSince"] or max((one["since"] for one in pod["slots"] if one["since"]), default=None)
    share, refused = load.get("share"), load.get("refused")
    return (
        pod["pod"],
        pod["state"],
        columns.age(since, now) if since else "-",
        "-" if share is None else f"{share:.0%}",
        "-" if refused is None else str(refused),
        ", ".join(wrong) or "-",
    )


def _certificate(one: Item, now: datetime) -> tuple[str, ...]:
    left = days_left(one["notAfter"], now)
    days = "-" if left is None else str(left)
    return one["secret"], one["state"], days, one["tenant"] or "-", ",".join(one["hosts"]), one["message"] or "-"
