"""Instant queries of a Prometheus, or of what speaks as one: bounded in time and bytes, with a token and authorities.

The client library reads answers whole, however long they are, and takes a token once; the loop of replica counts, which
asks one narrow question, can live with that.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import orjson

from collectors.http import bounded_body
from istio_templates.errors import Stalled, Transient
from k8s_manager.statistics.usage.metric_series import InstantSample, samples_in
from k8s_manager.statistics.usage.metrics_list import OddMetrics
from k8s_manager.statistics.usage.usage_source import MOST_BYTES, PATIENCE

_TIMEOUT = aiohttp.ClientTimeout(total=PATIENCE, sock_connect=2)


class PrometheusAway(Transient):
    """A Prometheus does not answer, or not as one."""


class PrometheusUnreachable(PrometheusAway):
    """Nothing takes connections where a Prometheus should be, whatever it would be asked."""


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """Where a Prometheus is, the file with the token that it asks for, and the authorities of its certificate. The
    files are read again for each question, as both are replaced while the manager runs."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    @property
    def host(self) -> str:
        """The host as messages show it: a URL may have a password in it."""
        return urlsplit(self.url).hostname or "?"

    async def instant(
        self, query: str, lookback: int | None = None, most_bytes: int | None = None
    ) -> list[InstantSample]:
        """Return the samples of a query now, none that is older than `lookback` seconds (None: the server's own bound;
        servers that do not know the parameter keep theirs). Raises `PrometheusAway`, or `Stalled` for a file that
        cannot be read."""
        asked = {"query": query} if lookback is None else {"query": query, "lookback_delta": f"{lookback}s"}
        headers, context = await asyncio.to_thread(self._credentials)
        connector = aiohttp.TCPConnector(ssl=context)
        url = self.url.rstrip("/") + "/api/v1/query"
        try:
            async with (
                aiohttp.ClientSession(connector=connector, trust_env=False, headers=headers) as session,
                session.get(url, params=asked, timeout=_TIMEOUT, allow_redirects=False) as answer,
            ):
                body = await bounded_body(answer, most_bytes or MOST_BYTES)
            if answer.status in (401, 403):
                said = f"Prometheus at {self.host} refuses the manager ({answer.status}); give --prometheus-token-file"
                raise Stalled(said)
            return await asyncio.to_thread(_samples, body, answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, OddMetrics) as error:
            said = str(error)[:200] or f"no answer within {PATIENCE:g} s"
            gone = f"Prometheus at {self.host} gave no figures ({said}); look at it, or give another with --prometheus"
            is_away = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            raise (PrometheusUnreachable if is_away else PrometheusAway)(gone) from error

    def _credentials(self) -> tuple[dict[str, str], ssl.SSLContext | bool]:
        headers, context = dict[str, str](), True
        try:
            if self.token_file is not None:
                headers["Authorization"] = f"Bearer {self.token_file.read_text().strip()}"
            if self.ca_file is not None:
                return headers, ssl.create_default_context(cafile=str(self.ca_file))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise Stalled(f"a file for Prometheus at {self.host} cannot be read: {said}; give a right one") from error
        return headers, context


def _samples(body: bytes, status: int) -> list[InstantSample]:
    """Return the samples in an answer; raises `OddMetrics`."""
    try:
        content = orjson.loads(body)
    except ValueError:
        raise OddMetrics(f"status {status} and no JSON") from None
    return samples_in(content)
