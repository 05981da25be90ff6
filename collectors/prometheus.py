"""Replica counts from Prometheus, as kube-state-metrics tells them."""

import asyncio
from pathlib import Path
from typing import Any

import requests
import requests.auth
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from collectors.samples import Sample
from istio_templates.errors import Transient

METRIC = "kube_deployment_status_replicas_ready"
# A range brings the samples with their own times; an instant query would date them all with the moment of asking.
QUERY = f"{METRIC}[2m]"
SECONDS = 5


class SourceDown(Transient):
    """Prometheus did not answer, or answered something else."""


class TokenAuth(requests.auth.AuthBase):
    """Sends the bearer token in a file, which is read for each call: it may be replaced meanwhile."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._file.read_text().strip()}"
        return request


class Prometheus:
    """A Prometheus server. Its client blocks, so every call has a thread and a timeout."""

    def __init__(self, url: str, token_file: Path | None = None, ca_file: Path | None = None) -> None:
        session = requests.Session()
        session.trust_env = False
        if ca_file is not None:
            session.verify = str(ca_file)
        if token_file is not None:
            session.auth = TokenAuth(token_file)
        self._url = url
        self._client = PrometheusConnect(url=url.rstrip("/"), session=session, retry=0, timeout=SECONDS)

    async def read(self) -> dict[tuple[str, str], Sample]:
        """Return the newest sample of each (namespace, Deployment). Raises `SourceDown`."""
        try:
            return await asyncio.to_thread(self._read)
        except (OSError, PrometheusApiClientException, ValueError, KeyError, TypeError) as error:
            raise SourceDown(f"{self._url} gave no replica counts ({error}); the last good ones hold") from error

    def _read(self) -> dict[tuple[str, str], Sample]:
        out: dict[tuple[str, str], Sample] = {}
        for series in self._client.custom_query(QUERY):
            labels: dict[str, Any] = series["metric"]
            if series["values"] and "namespace" in labels and "deployment" in labels:
                at, value = series["values"][-1]
                out[str(labels["namespace"]), str(labels["deployment"])] = Sample(float(value), float(at))
        return out
