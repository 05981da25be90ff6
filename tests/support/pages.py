"""The pages that people read, and what they name: flags, commands, fields, paths, targets, metrics and REST paths."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "docs" / "decisions").glob("*.md"))


@dataclass(frozen=True, slots=True)
class Mention:
    """Text that a page sets as code, with its line."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def mentions(page: Path) -> Iterator[Mention]:
    """Yield the code spans of a page and the lines of its code blocks."""
    is_block = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_block = not is_block
        elif is_block:
            yield Mention(page, number, line)
        else:
            yield from (Mention(page, number, span) for span in re.findall(r"`([^`]+)`", line))


def links(page: Path) -> Iterator[Mention]:
    """Yield the targets of a page's links inside the repository."""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", line):
            if "://" not in target:
                yield Mention(page, number, target)


def prose(page: Path) -> Iterator[Mention]:
    """Yield the lines of a page outside code blocks and tables."""
    is_block = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_block = not is_block
        elif not is_block and not line.startswith("|"):
            yield Mention(page, number, line)
