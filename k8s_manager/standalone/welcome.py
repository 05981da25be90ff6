"""What `tidegate standalone` prints once it stands, and the demo that it makes if asked to."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import typer

from istio_templates.host_port import joined
from k8s_manager.standalone.demo.documents import DOCUMENTS, HOST, MODEL_PATH
from k8s_manager.standalone.supervisor import Standalone, StateFolder

WAIT_SECONDS = 300
Object = dict[str, Any]


class Greeting:
    """Called once everything has started."""

    def __init__(self, place: StateFolder, demo: bool, with_manager: bool) -> None:
        self._place, self._demo, self._with_manager = place, demo, with_manager

    async def __call__(self, standalone: Standalone) -> None:
        """Print the addresses; with the demo, make it, wait until it serves, and say what to try."""
        folder, (host, port) = self._place.folder, self._place.listen
        (folder / "address").write_text(f"{joined(host, port)}\n")
        typer.echo("tidegate standalone (for trying out and for tests, never for production)")
        typer.echo(f"  Kubernetes API  {standalone.server}  (kubeconfig: {folder / 'kubeconfig'})")
        if not self._with_manager:
            options = f"--kubeconfig {folder / 'kubeconfig'} --token-file {folder / 'token'}"
            typer.echo(f"  no manager; run one: tidegate serve {options}")
            return
        typer.echo(f"  REST API        http://{joined(host, port)}  (token: {folder / 'token'})")
        headers = {"Authorization": f"Bearer {self._place.token_file.read_text().strip()}"}
        async with aiohttp.ClientSession(f"http://{joined(host, port)}", headers=headers, trust_env=False) as session:
            typer.echo("  starting the manager ...")
            await _until_ready(session)
            link = await _sign_in_link(session)
            typer.echo(f"  console         http://{joined(host, port)}{link}  (signs in once, within ten minutes)")
            if self._demo:
                await self._make_demo(session)
            else:
                for gateway in (await _get(session, "/v1/gateways"))["items"]:
                    addresses = ", ".join(gateway.get("status", {}).get("addresses", []))
                    typer.echo(f"  gateway {gateway['metadata']['name']}  {addresses}")
        typer.echo("  ready; Ctrl-C stops everything", nl=True)

    async def _make_demo(self, session: aiohttp.ClientSession) -> None:
        for path, document in DOCUMENTS:
            await _put(session, path, document)
        typer.echo("  starting two gateway pods (Envoy) and two replicas of a model, about ten seconds ...")
        gateway = await _serves(session, "/v1/gateways/shared")
        await _serves(session, "/v1/tenants/search/models/ranker")
        await _limited(session, "/v1/tenants/search/models/ranker/limit")
        first = gateway["status"]["addresses"][0]
        await _answers(first)
        typer.echo(
            _TOUR.format(addresses=" ".join(gateway["status"]["addresses"]), first=first, host=HOST, path=MODEL_PATH)
        )


async def _until_ready(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get("/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


async def _sign_in_link(session: aiohttp.ClientSession) -> str:
    async with session.post("/console/links") as answer:
        return str((await answer.json())["path"])


async def _get(session: aiohttp.ClientSession, path: str) -> Object:
    async with session.get(path) as answer:
        found: Object = await answer.json()
        return found


async def _put(session: aiohttp.ClientSession, path: str, document: Object) -> None:
    """Make a demo document; one that is there already keeps what the user has changed."""
    async with session.get(path) as answer:
        if answer.status == 200:
            return
    async with session.put(path, json=document) as answer:
        if answer.status >= 400:
            typer.echo(f"  {path}: {await answer.text()}", err=True)
            answer.raise_for_status()


async def _serves(session: aiohttp.ClientSession, path: str) -> Object:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = await _get(session, path)
            conditions = {c["type"]: c["status"] for c in found.get("status", {}).get("conditions", [])}
            pods = found.get("status", {}).get("pods", {"total": 0, "ready": 0})
            if conditions.get("Ready") == "True" == conditions.get("Programmed") and pods["ready"] == pods["total"]:
                return found
            await asyncio.sleep(0.1)


async def _limited(session: aiohttp.ClientSession, path: str) -> None:
    """Wait until the limit is what the replicas can serve: the first raise waits for a stable count."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = await _get(session, path)
            if found.get("total") == found.get("capacity"):
                return
            await asyncio.sleep(0.1)


async def _answers(address: str) -> None:
    url, headers = f"http://{address}{MODEL_PATH}", {"Host": HOST}
    async with aiohttp.ClientSession(trust_env=False) as session, asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url, headers=headers) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


_TOUR = """
  Gateway pods: {addresses}

  In another terminal, in this folder (. .venv/bin/activate first), try:

  1. A request through Envoy to the model:
       curl -s -H 'Host: {host}' http://{first}{path}/infer \\
         -d '{{"inputs": [{{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [0.9, 0.2, 0.7, 0.1]}}]}}'
  2. A burst: two replicas at 20/s give 40/s, 20/s on each gateway pod; the rest gets 429 with retry-after:
       for i in $(seq 60); do curl -s -o /dev/null -w '%{{http_code}}\\n' -H 'Host: {host}' \\
         http://{first}{path}; done | sort | uniq -c
  3. Two more replicas: the limit follows, 5 s after they are ready, to 80/s:
       tidegate scale search/ranker v1 4
       tidegate get model
  4. Let demand decide how many there are. Sixty callers send about 60/s for two minutes: at first a third of it is
     refused, then replicas come and the limit rises; half a minute after the end they go:
       tidegate autoscale search/ranker v1 --min 2 --max 8 --window 30s
       for address in {addresses}; do seq 3600 | xargs -P 30 -I@ sh -c \\
         'curl -s -o /dev/null -w "%{{http_code}} " -H "Host: {host}" http://'$address'{path}; sleep 1' & done
       tidegate explain search/ranker --about replicas
  5. Why is the limit what it is?
       tidegate explain search/ranker
       tidegate events --no-follow
"""
