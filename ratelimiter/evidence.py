"""What was counted of a limit in shadow or ramp, by the minute, for an hour. Pure."""

from dataclasses import dataclass, replace

from ratelimiter.modes import Evidence

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Minute:
    """What was counted in one minute."""

    begin: float
    refused: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """The minutes of the last hour, the oldest first, from the first counting on; up to one more than sixty."""

    minutes: tuple[Minute, ...] = ()

    def add(self, refused: int, requests: int, since: float, now: float) -> "Window":
        """Return the window with what was counted from `since` until `now`."""
        begin = now - now % MINUTE
        kept = tuple(minute for minute in self.minutes if minute.begin > now - HOUR - MINUTE)
        if not self.minutes:
            kept = (Minute(since),)
        elif not kept or kept[-1].begin + MINUTE <= now:
            kept = (*kept, Minute(begin))
        last = kept[-1]
        return Window((*kept[:-1], replace(last, refused=last.refused + refused, requests=last.requests + requests)))

    def evidence(self, now: float) -> Evidence:
        """Return what the window shows at `now`. A refusal is a request too, though counters are read one by one."""
        refused = sum(minute.refused for minute in self.minutes)
        requests = sum(minute.requests for minute in self.minutes)
        over = now - self.minutes[0].begin if self.minutes else 0.0
        return Evidence(refused, max(requests, refused), over)
