"""What was counted of a limit in shadow or ramp, by the minute, for an hour. Pure."""

from dataclasses import dataclass, replace

from ratelimiter.modes import Evidence

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Minute:
    """What was counted in one minute, and how many seconds of it were counted at all."""

    begin: float
    refused: int = 0
    requests: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """The minutes of the last hour, the oldest first; up to one more than sixty."""

    minutes: tuple[Minute, ...] = ()
    until: float = float("-inf")

    def add(self, refused: int, requests: int, since: float, now: float) -> "Window":
        """Return the window with what was counted from `since` until `now`; seconds that two gateways count are one."""
        begin = now - now % MINUTE
        kept = tuple(minute for minute in self.minutes if minute.begin > now - HOUR - MINUTE)
        *older, last = kept if kept and kept[-1].begin == begin else (*kept, Minute(begin))
        added = replace(
            last,
            refused=last.refused + refused,
            requests=last.requests + requests,
            seconds=last.seconds + max(0.0, now - max(since, self.until)),
        )
        return Window((*older, added), now)

    def evidence(self, now: float, over: float = HOUR) -> Evidence:
        """Return what the minutes of the last `over` seconds show, the first of them whole.

        Only seconds in which counters were read count. A refusal is a request too, though counters are read one by one.
        """
        recent = [minute for minute in self.minutes if minute.begin > now - over - MINUTE]
        refused, requests = sum(minute.refused for minute in recent), sum(minute.requests for minute in recent)
        return Evidence(refused, max(requests, refused), sum(minute.seconds for minute in recent))
