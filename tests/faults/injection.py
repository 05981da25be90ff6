"""What goes wrong with a manager's calls: rules by verb, kind and number of the call, and deaths before or after a write.

A fault is written `verb:kind:number:count:fault`, such as `apply:VirtualService:2:3:503`; `*` stands for any verb of a
write, or any kind. A death is written `kill:before:17` or `kill:after:17`, for the 17th write of the run.
"""

from collections import Counter
from dataclasses import dataclass

WRITES = ("create", "apply", "patch", "replace", "delete", "push")
"""`push`: to the branch of a Git server."""
VERBS = ("get", "list", "watch", *WRITES)
ANSWERS = {"403": 403, "409": 409, "422": 422, "410": 410, "429": 429, "500": 500, "503": 503}
"""Faults that are an answer of the server, without the call being carried out."""
FOREIGN = b'["<html>this proxy answers for everybody</html>"]'
"""The body of an answer from a proxy in between."""
CALL_FAULTS = ("409", "410", "429", "500", "503", "reset", "timeout", "hang", "lost", "torn", "foreign", "delay")
"""`lost`: carried out, and the answer reset. `torn`: carried out, and half of the answer. `foreign`: the answer of a proxy
in between, with status 200. `timeout`: no answer for 10 s, and none at all. `delay`: carried out after 8 s."""
LIST_FAULTS = ("stale",)
"""`stale`: the list of a server that is behind, by half of what has been written."""
WATCH_FAULTS = ("410", "expired", "end", "lag", "repeat", "reorder", "drop", "torn", "reset", "503", "429")
"""`expired`: 410 inside the stream. `end`: the watch ends at once. `lag`: events come 10 s late. `drop`: some are lost, and
the watch breaks 5 s later."""


def refusal_of(status: int) -> dict[str, object]:
    """Return the body of an answer that refuses a call."""
    return {"kind": "Status", "code": status, "message": "injected"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of the calls `first` to `first + count - 1` of a verb for a kind."""

    verb: str
    kind: str
    first: int
    count: int
    what: str

    def __str__(self) -> str:
        return f"{self.verb}:{self.kind}:{self.first}:{self.count}:{self.what}"

    def concerns(self, verb: str, kind: str) -> bool:
        """Tell whether a call is one that this fault counts."""
        return self.kind in ("*", kind) and (self.verb == verb or (self.verb == "*" and verb in WRITES))


@dataclass(frozen=True, slots=True)
class Death:
    """The manager's end before or after its write with this number."""

    moment: str
    number: int

    def __str__(self) -> str:
        return f"kill:{self.moment}:{self.number}"


Injection = Fault | Death


def injection_of(text: str) -> Injection:
    """Return an injection from its text; raises `ValueError` for any other text."""
    parts = text.split(":")
    if parts[0] == "kill" and len(parts) == 3 and parts[1] in ("before", "after"):
        return Death(parts[1], int(parts[2]))
    if len(parts) == 5:
        return Fault(parts[0], parts[1], int(parts[2]), int(parts[3]), parts[4])
    raise ValueError(f"{text!r} is no injection; write verb:kind:number:count:fault, or kill:before:number")


class Injector:
    """Counts the calls of a run and tells which of them go wrong. `began` and `ended` say when (simulated seconds),
    `under_way` how many calls hang now."""

    def __init__(self, injections: tuple[Injection, ...]) -> None:
        self._faults = [found for found in injections if isinstance(found, Fault)]
        self._deaths = {found.number: found.moment for found in injections if isinstance(found, Death)}
        self._counts: Counter[Fault] = Counter()
        self._of_namespaces: list[tuple[str, Fault]] = []
        self.writes = 0
        self.hits = 0
        self.is_armed = True
        self.ended = 0.0
        self.under_way = 0

    @property
    def concerns_watches(self) -> bool:
        """Whether a fault can only be seen where watches begin again."""
        return any(fault.verb in ("list", "watch") for fault in self._faults)

    def add(self, fault: Fault) -> None:
        """Let calls go wrong from now on too."""
        self._faults.append(fault)

    def of_namespace(self, namespace: str, fault: Fault) -> None:
        """Let all calls of a verb for objects in a namespace go wrong from now on."""
        self._of_namespaces.append((namespace, fault))

    def fault(self, verb: str, kind: str, now: float, namespace: str = "") -> str | None:
        """Return what goes wrong with the next call; None for nothing."""
        found = next((f.what for at, f in self._of_namespaces if at == namespace and f.concerns(verb, kind)), None)
        for fault in self._faults:
            if fault.concerns(verb, kind):
                self._counts[fault] += self.is_armed
                if self.is_armed and fault.first <= self._counts[fault] < fault.first + fault.count:
                    found = fault.what
        if found:
            self.hits += 1
            self.ended = now
        return found

    def death(self, verb: str) -> str | None:
        """Count a write; return whether the manager dies before or after it."""
        if verb not in WRITES or not self.is_armed:
            return None
        self.writes += 1
        return self._deaths.pop(self.writes, None)
