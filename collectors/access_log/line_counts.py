"""What became of the lines that were read: counted, and some of those that could not be used kept to be shown."""

from dataclasses import dataclass, field

SAMPLES = 5
SAMPLE_BYTES = 200


@dataclass(slots=True)
class LineCounts:
    """Counts of lines since the start.

    `read` are all; `late` of those that are in rows came for a window whose rows were emitted. Not in rows are
    `foreign` ones (no line of the access log, as Envoy's own messages), `unparsable` (cut, or a value of another kind),
    `unknown` (of another schema), `too_late`, `ahead` (their clock is ahead of the collector's), and `repeated`, which
    were counted when their source was read before.
    """

    read: int = 0
    late: int = 0
    foreign: int = 0
    unparsable: int = 0
    unknown: int = 0
    too_late: int = 0
    ahead: int = 0
    repeated: int = 0
    samples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def dropped(self) -> int:
        """Lines of the access log that are in no row."""
        return self.unparsable + self.unknown + self.too_late + self.ahead

    @property
    def counted(self) -> int:
        """Lines that are in rows."""
        return self.read - self.foreign - self.repeated - self.dropped

    def drop(self, why: str, line: bytes) -> None:
        """Count a line that is not used, and keep the beginning of some."""
        setattr(self, why, getattr(self, why) + 1)
        kept = self.samples.setdefault(why, [])
        if len(kept) < SAMPLES:
            kept.append(line[:SAMPLE_BYTES].decode("utf-8", "backslashreplace"))
