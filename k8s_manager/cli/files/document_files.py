"""Documents as they stand in files, folders and standard input; one file that is broken does not hide the others."""

import codecs
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from istio_templates.documents import load, unlisted
from istio_templates.errors import Invalid, Problem
from k8s_manager.cli.files import kustomizations
from k8s_manager.cli.files.field_lines import line_of

ENDS = (".yaml", ".yml", ".json")
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""What a text begins with that is not UTF-8: PowerShell writes so."""
_ADDRESSES = ("http://", "https://")
LARGEST = 64 << 20
"""Bytes of one file that are read: a device such as /dev/zero never ends."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document stands: its file, and which of its documents and which item of a list it is, both from 0; None
    where there is only one."""

    file: str
    text: str = field(repr=False)
    document: int | None
    item: int | None

    def __str__(self) -> str:
        parts = [] if self.document is None else [f"document {self.document + 1}"]
        parts += [] if self.item is None else [f"item {self.item + 1}"]
        return f"{self.file} ({', '.join(parts)})" if parts else self.file

    def at(self, field: str) -> str:
        """Return where a field stands, with its line."""
        line = line_of(self.text, self.document or 0, self.item, field)
        return f"{self}, line {line}" if line else str(self)


@dataclass(slots=True)
class Reading:
    """Reads documents; what could not be read is in `problems`, by its place, once all was asked for."""

    problems: list[tuple[str, Problem]] = field(default_factory=list)

    def documents(self, places: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each document with its place: the file, and which document of it where there are several."""
        for place, raw in self.placed(places):
            yield str(place), raw

    def placed(self, places: Sequence[str]) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yield each document with its place, which knows the lines of its fields."""
        for name, text in self._texts(places):
            try:
                found = [unlisted(raw) for raw in load(text, name)]
            except Invalid as error:
                self.problems += [(name, problem) for problem in error.problems]
                continue
            if not any(found) and name in (*places, "standard input"):
                self._note(name, "is empty: it holds no document; name another file")
            for number, objects in enumerate(found):
                for item, raw in enumerate(objects):
                    parts = (number if len(found) > 1 else None, item if len(objects) > 1 else None)
                    yield Place(name, text, *parts), raw

    def _texts(self, places: Sequence[str]) -> Iterator[tuple[str, str]]:
        if "-" in places:
            yield from self._text("standard input", sys.stdin.buffer)
        for address in (place for place in places if place.startswith(_ADDRESSES)):
            self._note(address, f"is an address; read it first: curl {address} | tidegate COMMAND -f -")
        given = [Path(place) for place in places if place != "-" and not place.startswith(_ADDRESSES)]
        for file in dict.fromkeys(file for path in given for file in self._some_of(path)):
            yield from self._text(str(file), file)

    def _some_of(self, path: Path) -> Iterator[Path]:
        """Yield the files of a path; where there is none, that is a problem."""
        is_empty, before = True, len(self.problems)
        try:
            for file in self._files(path):
                is_empty = False
                yield file
        except OSError as error:  # such as a name that is too long
            self._note(str(path), f"cannot be read: {error.strerror}")
            return
        if is_empty and len(self.problems) == before:
            self._note(str(path), f"is empty: no file in it ends with {', '.join(ENDS)}; name another folder")

    def _text(self, name: str, source: Path | BinaryIO) -> Iterator[tuple[str, str]]:
        try:
            raw = _bytes(source)
            if len(raw) > LARGEST:
                self._note(name, f"holds more than {LARGEST >> 20} MiB; give its documents in several files")
                return
            yield name, raw.decode(_ENCODINGS.get(raw[:2], "utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            self._note(name, f"cannot be read: {error}")

    def _unreadable(self, error: OSError) -> None:
        self._note(str(error.filename), f"cannot be read: {error}")

    def _note(self, name: str, said: str) -> None:
        self.problems.append((name, Problem("", said)))

    def _files(self, path: Path) -> Iterator[Path]:
        """Yield a file, or those in a folder and all below it; links to folders are reported and not followed."""
        if not path.is_dir():
            if path.name in kustomizations.NAMES:
                self._note(str(path), f"is kustomize's own file; give its folder: -f {path.parent}")
            else:
                yield path
            return
        for folder, inner, names in os.walk(path, onerror=self._unreadable):
            inner.sort()
            for link in (Path(folder, name) for name in inner):
                if link.is_symlink():
                    self._note(str(link), "is a link to a folder, which is not followed; name that folder too")
            for own in (Path(folder, name) for name in names if name in kustomizations.NAMES):
                if said := kustomizations.objection(own, path):
                    self._note(str(own), said)
            files = (Path(folder, name) for name in sorted(names) if name not in kustomizations.NAMES)
            yield from (file for file in files if file.suffix in ENDS)


def _bytes(source: Path | BinaryIO) -> bytes:
    """Return what a file or stream holds, and no more than a byte beyond the `LARGEST`."""
    if not isinstance(source, Path):
        return source.read(LARGEST + 1)
    with source.open("rb") as stream:
        return stream.read(LARGEST + 1)
