"""Asks all collectors for rows."""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from collectors.access_log.rows import StatsRow
from collectors.http import bounded_body
from collectors.request_statistics.row_query import RowAnswer, RowQuery, merged_rows, unpacked_rows
from istio_templates.errors import Invalid, Problem, Stalled, Waiting
from istio_templates.host_port import joined
from k8s_manager.runtime.timestamp import timestamp_at
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

log = logging.getLogger(__name__)
PATIENCE = aiohttp.ClientTimeout(total=8, sock_connect=2)
PATIENCE_WITH_FILES = aiohttp.ClientTimeout(total=30, sock_connect=2)
MOST_BYTES = 64 * 2**20
RETRY = 5.0
BEHIND = 15.0
"""Seconds by which a collector may be behind before its rows count as incomplete."""
LATE = "a collector began to count after the beginning of this span"


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """The rows of all collectors together, and in sentences why some may be missing: of any time (`flaws`), of those
    that are kept in files (`file_flaws`), or of the time before `whole_since` (epoch seconds; 0: none are)."""

    rows: list[StatsRow]
    flaws: tuple[str, ...]
    file_flaws: tuple[str, ...] = ()
    whole_since: int = 0

    @property
    def gaps(self) -> tuple[str, ...]:
        """Why rows may be missing, in sentences; none where all are there."""
        return (*self.flaws, *self.file_flaws, *([LATE] if self.whole_since else []))


class CollectorRows(NamedTuple):
    """What one collector says of itself, and its rows."""

    about: RowAnswer
    rows: list[StatsRow]


class CollectorPool:
    """The collectors behind a URL: one for each address of its host name."""

    def __init__(self, url: str, token_file: Path | None, spans: SpanRecorder = NO_SPANS) -> None:
        self._url, self._token_file, self._spans = urlsplit(url), token_file, spans

    async def rows(self, query: RowQuery, kept: int) -> PoolAnswer:
        """Return what collectors know; `kept` is since when (epoch seconds) they keep rows in memory. Raises `Waiting`
        where none answers."""
        hosts = await self._hosts()
        with self._spans.span("read rows of collectors", {"tidegate.collectors": len(hosts)}, is_call=True):
            headers = {**self._headers(), **self._spans.headers()}
            async with aiohttp.ClientSession(trust_env=False, headers=headers) as session:
                found = await asyncio.gather(*(self._ask(session, host, query) for host in hosts))
        answers = [answer for answer in found if answer is not None]
        if not answers:
            raise Waiting(f"statistics cannot be read: none of {len(hosts)} collectors answers", RETRY)
        silent = len(hosts) - len(answers)
        problems = [f"{silent} of {len(hosts)} collectors do not answer"] if silent else []
        rows = await asyncio.to_thread(merged_rows, query, chain.from_iterable(answer.rows for answer in answers))
        about = [answer.about for answer in answers]
        flaws, file_flaws = (*problems, *_flaws(about), *_older(query, about)), tuple(_file_gaps(query, about, kept))
        return PoolAnswer(rows, flaws, file_flaws, _whole_since(query, about, kept))

    async def _hosts(self) -> list[str]:
        host, port = self._url.hostname or "", self._url.port or 80
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        except OSError as error:
            raise Waiting(f"the collectors at {host} cannot be found: {error.strerror}; start one", RETRY) from error
        return sorted({joined(str(address[0]), port) for *_, address in found})

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}
        except OSError as error:
            said = f"the token for collectors cannot be read from {self._token_file}: {error.strerror}; give one"
            raise Stalled(said) from error

    async def _ask(self, session: aiohttp.ClientSession, host: str, query: RowQuery) -> "CollectorRows | None":
        """Return what one collector answers; None where it does not, or with something else. Raises `Invalid` where
        the answer would be too large."""
        asked = {name: str(getattr(query, name)) for name in RowQuery.__slots__}
        patience = PATIENCE_WITH_FILES if query.asks_files else PATIENCE
        try:
            async with session.get(f"{self._url.scheme}://{host}/rows", params=asked, timeout=patience) as answer:
                body = await bounded_body(answer, MOST_BYTES)
            if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                said = "there are too many rows; give a longer step or a shorter span, or ask for less"
                raise Invalid("statistics", [Problem("step", said)])
            if answer.status != HTTPStatus.OK:
                raise ValueError(f"{answer.status} {body[:200].decode('utf-8', 'replace')}")
            return await asyncio.to_thread(_read, body, query)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, OverflowError) as error:
            log.warning("the collector at %s: %s", host, str(error) or type(error).__name__)
            return None


def _read(body: bytes, query: RowQuery) -> CollectorRows:
    """Return an answer; raises `ValueError` for what is none."""
    answer = msgspec.msgpack.decode(body, type=RowAnswer)
    return CollectorRows(msgspec.structs.replace(answer, rows=[]), unpacked_rows(query, answer.rows))


def _whole_since(query: RowQuery, answers: list[RowAnswer], kept: int) -> int:
    """Return since when rows are whole, where some of the span are missing; else 0."""
    begun = (
        answer.since
        for answer in answers
        if answer.since > (max(query.start, kept) if answer.files_since is None else query.start)
    )
    return max(begun, default=0)


def _flaws(answers: list[RowAnswer]) -> list[str]:
    out = []
    if missing := {name for answer in answers for name in answer.members} - {answer.name for answer in answers}:
        out.append(f"{len(missing)} collectors that share the gateway pods were not found")
    if unread := sum(answer.unread for answer in answers):
        out.append(f"the logs of {unread} gateway pods cannot be read")
    if (lag := max(answer.lag for answer in answers)) > BEHIND:
        out.append(f"the newest rows are {lag:.0f} s behind")
    return out


def _older(query: RowQuery, answers: list[RowAnswer]) -> list[str]:
    older = sum(not answer.tells_arms for answer in answers) if query.arms else 0
    said = "are of an older release, and count every arm under the weights; upgrade them"
    return [f"{older} of {len(answers)} collectors {said}"] if older else []


def _file_gaps(query: RowQuery, answers: list[RowAnswer], kept: int) -> list[str]:
    """Return why rows may be missing that are kept in files, or would be."""
    out = []
    without = sum(answer.files_since is None for answer in answers)
    if query.start < kept and without:
        which = "collectors" if without == len(answers) else f"{without} of {len(answers)} collectors"
        out.append(f"{which} keep the last six hours only; start them with --sink parquet:/FOLDER to keep 35 days")
    if (since := max(answer.files_since or 0 for answer in answers)) > query.start:
        out.append(f"the files of a collector begin at {timestamp_at(since)}")
    if unwritten := sum(answer.unwritten for answer in answers):
        out.append(f"{unwritten} rows are not written to files yet")
    if unreadable := sum(answer.are_files_unreadable for answer in answers):
        out.append(f"the files of {unreadable} collectors cannot be read; their logs say why")
    return out
