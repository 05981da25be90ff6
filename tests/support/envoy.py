"""A real Envoy, fed by the real translator."""

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import trustme

from k8s_manager.standalone.node import process as processes
from k8s_manager.standalone.node.gateway import ADMIN_PORT, envoy_binary, envoy_bootstrap
from k8s_manager.standalone.node.node import Addresses
from k8s_manager.standalone.translator.ads import Ads, serve
from k8s_manager.standalone.translator.config import Config, GatewayPod
from k8s_manager.standalone.translator.snapshot import Snapshot
from tests.support.waiting import until

# Other Envoys to try too, as name=path,name=path (CI names those of the oldest and the middle supported Istio).
ENVOYS = dict(entry.split("=", 1) for entry in os.environ.get("TIDEGATE_ENVOYS", "").split(",") if entry) or {
    "installed": ""
}


def config_of(objects: list[dict]) -> Config:
    """Return rendered objects as the translator reads them, with a certificate wherever one is asked for."""
    by_kind: dict[str, list[dict]] = {}
    for obj in objects:
        by_kind.setdefault(obj["kind"], []).append(obj)
    credentials = {
        (gateway["metadata"]["namespace"], server["tls"]["credentialName"])
        for gateway in by_kind.get("Gateway", [])
        for server in gateway["spec"]["servers"]
        if "credentialName" in server.get("tls", {})
    }
    return Config(
        gateways=by_kind.get("Gateway", []),
        virtual_services=by_kind.get("VirtualService", []),
        destination_rules=by_kind.get("DestinationRule", []),
        envoy_filters=by_kind.get("EnvoyFilter", []),
        services=by_kind.get("Service", []),
        secrets=[certificate(*credential) for credential in sorted(credentials)],
    )


def certificate(namespace: str, name: str) -> dict:
    issued = trustme.CA().issue_cert("*.models.example.com")
    data = {"tls.crt": issued.cert_chain_pems[0].bytes(), "tls.key": issued.private_key_pem.bytes()}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"metadata": {"namespace": namespace, "name": name}, "data": encoded}


async def ask(address: str, host: str, path: str, headers: Mapping[str, str] | None = None) -> str:
    """Return who answers a request whose words are sent as they are: a closed model by its sentence, else the status."""
    reader, writer = await asyncio.open_connection(address, 8080)
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = re.search("content-length: ([0-9]+)", head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    writer.close()
    status = head.split()[1]
    return body.decode() if status == "503" else status


class EnvoyUnderTest:
    """One Envoy whose configuration the test sets."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address, self._session = address, session
        self.pid = 0
        self.snapshot: Snapshot = {}
        self.ads = Ads(lambda _: self.snapshot)

    def pod(self, labels: dict[str, str], namespace: str) -> GatewayPod:
        return GatewayPod(namespace, labels, self.address)

    async def load(self, snapshot: Snapshot) -> None:
        """Send a configuration and wait until Envoy has taken or rejected all of it, and nothing warms any more."""
        self.snapshot = snapshot
        self.ads.changed()
        await until(self._loaded, what="Envoy loading its configuration")

    async def stats(self, pattern: str) -> dict[str, int]:
        async with self._session.get(f"http://{self.address}:{ADMIN_PORT}/stats?filter={pattern}") as answer:
            lines = [line.rsplit(": ", 1) for line in (await answer.text()).splitlines()]
        return {name: int(value) for name, value in lines if value.isdigit()}

    async def _loaded(self) -> bool:
        if not self.ads.settled:
            return False
        if self.ads.rejections:
            return True
        warming = await self.stats("total_listeners_warming|warming_clusters")
        return bool(warming) and not any(warming.values()) and self.ads.settled


@asynccontextmanager
async def running_envoy(folder: Path, binary: str = "", number: int = 0) -> AsyncIterator[EnvoyUnderTest]:
    """Start an Envoy on an address of its own; several at once have numbers."""
    addresses = Addresses(None)
    for other in range(number + 1):
        address = addresses.of({"metadata": {"uid": f"under-test-{other}"}})
    async with aiohttp.ClientSession(trust_env=False) as session:
        envoy = EnvoyUnderTest(address, session)
        server, port = await serve(envoy.ads, "127.0.0.1", 0)
        pod = {"metadata": {"name": "gw-0", "namespace": "inference-gw", "labels": {"istio": "inference-gw"}}}
        bootstrap = folder / "bootstrap.json"
        bootstrap.write_text(json.dumps(envoy_bootstrap(pod, address, ("127.0.0.1", port))))
        words = [binary or envoy_binary(), "-c", str(bootstrap), "--concurrency", "1", "--disable-hot-restart"]
        words += ["--log-level", "warning", "--file-flush-interval-msec", "100"]
        variables = {**os.environ, "POD_NAME": "gw-0", "POD_NAMESPACE": "inference-gw"}
        child = await processes.start(words, variables, folder, folder / "envoy.log")
        envoy.pid = child.pid
        try:
            await until(
                lambda: envoy.ads.settled or child.returncode is not None, what="Envoy asking for its configuration"
            )
            assert child.returncode is None, (folder / "envoy.log").read_text()
            yield envoy
        finally:
            await processes.stop(child, 2)
            await server.stop(None)
            await asyncio.sleep(0)
