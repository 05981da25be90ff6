"""MLflow over its REST API: it is read and never written, each call bounded in time and bytes, and never redirected.

Only the manager's own settings say where it is. A registered model takes two calls or three (its aliases, its newest
versions in pages), a new version one (its run), and a version that an alias points at beyond the newest one.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
import orjson

from collectors.http import bounded_body
from k8s_manager.release.registry.registry_answer import (
    LeftOut,
    OddRegistryAnswer,
    RegisteredModelAbsent,
    RegistryListing,
    RegistryUnavailable,
    RunMetric,
    VersionPage,
    aliases_in,
    listing_of,
    metrics_in,
    page_in,
    page_of,
    version_in,
)
from k8s_manager.runtime.settings import MlflowSettings

SECONDS = 10.0
"""In which a call is answered."""
MOST_BYTES = 1024 * 1024
PAGE, MOST_VERSIONS = 100, 200
MOST_ALIASED = 20
"""Versions beyond the newest that are read since an alias points at them."""
ROOT = "/api/2.0/mlflow"


class RegistryServer(Protocol):
    """Where registered models are read."""

    async def listing(self, name: str) -> RegistryListing:
        """Return what is registered; raises `RegistryUnavailable`, `OddRegistryAnswer`, `RegisteredModelAbsent`."""

    async def metrics(self, run: str) -> tuple[RunMetric, ...]:
        """Return the metrics of a run; raises as `listing`."""

    async def close(self) -> None:
        """End its connections."""


class MlflowServer:
    """A tracking server of MLflow."""

    def __init__(self, settings: MlflowSettings, seconds: float = SECONDS) -> None:
        self._settings, self._seconds = settings, seconds
        self._session: aiohttp.ClientSession | None = None

    async def listing(self, name: str) -> RegistryListing:
        """Return the newest versions of a registered model, those that aliases point at, and its aliases."""
        aliases = aliases_in(await self._get("registered-models/get", {"name": name}), name)
        pages = await self._pages(name)
        known = {one.number for page in pages for one in page.versions}
        beyond = sorted({number for number in aliases.values() if number not in known}, reverse=True)
        for number in beyond[:MOST_ALIASED]:
            pages.append(await self._one(name, number))
        return listing_of(pages, aliases)

    async def metrics(self, run: str) -> tuple[RunMetric, ...]:
        """Return the metrics of a run."""
        return metrics_in(await self._get("runs/get", {"run_id": run}), run)

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _pages(self, name: str) -> list[VersionPage]:
        query = {"filter": f"name='{name}'", "max_results": str(PAGE), "order_by": "version_number DESC"}
        pages: list[VersionPage] = []
        for _ in range(MOST_VERSIONS // PAGE):
            token = {"page_token": pages[-1].next} if pages else {}
            pages.append(page_in(await self._get("model-versions/search", {**query, **token}), name))
            if not pages[-1].next:
                break
        return pages

    async def _one(self, name: str, number: int) -> VersionPage:
        """Return one version as a page; without it where it is gone."""
        try:
            answer = await self._get("model-versions/get", {"name": name, "version": str(number)})
        except RegisteredModelAbsent:
            return page_of([])
        found = answer.get("model_version") if isinstance(answer, dict) else None
        read = version_in(found, name) if isinstance(found, dict) else LeftOut(f"v{number}", "is no version")
        return page_of([read])

    async def _get(self, path: str, query: Mapping[str, str]) -> Any:
        what = f"{ROOT}/{path}"
        try:
            async with self._opened().get(
                self._settings.url.rstrip("/") + what,
                params=query,
                headers=await asyncio.to_thread(self._headers),
                allow_redirects=False,
            ) as answer:
                body = await bounded_body(answer, MOST_BYTES)
                return _content(what, answer.status, body)
        except TimeoutError as error:
            raise RegistryUnavailable(f"{what} is not answered within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RegistryUnavailable(f"{what}: {_clean(str(error)) or type(error).__name__}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=min(3.0, self._seconds)),
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=2, **self._trust()),
                auto_decompress=False,
            )
        return self._session

    def _trust(self) -> dict[str, Any]:
        if self._settings.ca_file is None:
            return {}
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=str(self._settings.ca_file))
        return {"ssl": context}

    def _headers(self) -> dict[str, str]:
        """Return the headers of a call; the token is read for each, as it may be replaced."""
        sent = {"Accept-Encoding": "identity", "User-Agent": "tidegate"}
        if self._settings.token_file is not None:
            sent["Authorization"] = f"Bearer {self._settings.token_file.read_text().strip()}"
        return sent


def _content(what: str, status: int, body: bytes) -> Any:
    """Return what an answer says; raises where it is none."""
    try:
        found = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        found = error
    code = found.get("error_code") if isinstance(found, dict) else None
    if code == "RESOURCE_DOES_NOT_EXIST" and status == 404:
        raise RegisteredModelAbsent(f"{what}: {_clean(str(found.get('message')))}")
    if 300 <= status < 400:
        raise RegistryUnavailable(f"{what} redirects ({status}), which is not followed; name the address itself")
    if status != 200:
        said = _clean(str(found.get("message") or "")) if isinstance(found, dict) else ""
        raise RegistryUnavailable(f"{what} answers {status}{f', {said}' if said else ''}")
    if isinstance(found, orjson.JSONDecodeError):
        raise OddRegistryAnswer(f"MLflow answers something else than JSON at {what}")
    return found


def _clean(text: str) -> str:
    """Return a text of others as a message shows it."""
    return "".join(char if char.isprintable() else " " for char in text[:200]).strip()
