"""A small client of the embedded API for what stands around the manager, and a mirror of some of its kinds.

It is apart from the manager's own client on purpose: what surrounds the product must not share its mistakes.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import orjson

Object = dict[str, Any]
PLACES = {
    "Namespace": "api/v1/namespaces",
    "Pod": "api/v1/pods",
    "Service": "api/v1/services",
    "Secret": "api/v1/secrets",
    "Deployment": "apis/apps/v1/deployments",
    "EndpointSlice": "apis/discovery.k8s.io/v1/endpointslices",
    "CustomResourceDefinition": "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Gateway": "apis/networking.istio.io/v1/gateways",
    "VirtualService": "apis/networking.istio.io/v1/virtualservices",
    "DestinationRule": "apis/networking.istio.io/v1/destinationrules",
    "EnvoyFilter": "apis/networking.istio.io/v1alpha3/envoyfilters",
    "Telemetry": "apis/telemetry.istio.io/v1/telemetries",
}
_PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class MirrorRefused(Exception):
    """The API refused a call; `status` is the HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


class ApiConnection:
    """Calls of the embedded API."""

    def __init__(self, server: str, token: str, name: str) -> None:
        self._server, self._name = server, name
        headers = {"Authorization": f"Bearer {token}", "User-Agent": name}
        self.session = aiohttp.ClientSession(headers=headers, read_bufsize=2**22, trust_env=False)

    async def call(
        self, method: str, kind: str, namespace: str, name: str, body: Object | None = None, **options: str
    ) -> Object:
        """Make one call on one object or collection; `sub` names a subresource, `patch` the type of a patch."""
        sub, patch = options.pop("sub", ""), options.pop("patch", "")
        headers = {"Content-Type": _PATCHES.get(patch, "application/json")}
        data = None if body is None else orjson.dumps(body)
        url = self._url(kind, namespace, name, sub)
        query = {"fieldManager": self._name, **options}
        async with self.session.request(method, url, params=query, data=data, headers=headers) as answer:
            content: Object = orjson.loads(await answer.read())
            if answer.status >= 400:
                raise MirrorRefused(answer.status, content.get("message", ""))
            return content

    async def watch(self, kind: str, version: str) -> Any:
        """Yield the events of a kind after a version."""
        query = {"watch": "true", "resourceVersion": version}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self.session.get(self._url(kind), params=query, timeout=timeout) as answer:
            if answer.status >= 400:
                raise MirrorRefused(answer.status, "watch")
            async for line in answer.content:
                yield orjson.loads(line)

    def _url(self, kind: str, namespace: str = "", name: str = "", sub: str = "") -> str:
        root, plural = PLACES[kind].rsplit("/", 1)
        inside = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"{self._server}/{root}{inside}/{plural}", name, sub) if part)


class Mirror:
    """Objects of some kinds, kept in line by watches; `dirty` is set at every change."""

    def __init__(self, api: ApiConnection, kinds: tuple[str, ...]) -> None:
        self._api = api
        self._objects: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in kinds}
        self._unsynced = set(kinds)
        self.synced, self.dirty = asyncio.Event(), asyncio.Event()
        self.changes = 0

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: str, namespace: str = "") -> list[Object]:
        """Return the objects of a kind in the order of their names."""
        found = self._objects[kind]
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    async def run(self) -> None:
        """Follow all kinds until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in self._objects:
                group.create_task(self._follow(kind))

    async def _follow(self, kind: str) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, MirrorRefused, ConnectionError):
                listed = await self._api.call("GET", kind, "", "")
                self._objects[kind] = {_key(obj): {**obj, "kind": kind} for obj in listed["items"]}
                self._unsynced.discard(kind)
                self._touch()
                version = listed["metadata"]["resourceVersion"]
                while True:
                    async for event in self._api.watch(kind, version):
                        version = self._take(kind, event)
            await asyncio.sleep(0.2)

    def _take(self, kind: str, event: Object) -> str:
        obj = event["object"]
        if event["type"] == "ERROR":
            raise MirrorRefused(obj.get("code", 500), obj.get("message", ""))
        if event["type"] == "DELETED":
            self._objects[kind].pop(_key(obj), None)
        else:
            self._objects[kind][_key(obj)] = obj
        self._touch()
        return str(obj["metadata"]["resourceVersion"])

    def _touch(self) -> None:
        self.changes += 1
        if not self._unsynced:
            self.synced.set()
            self.dirty.set()

    async def settled(self, quiet: float) -> Any:
        """Yield whenever something has changed and then been still for `quiet` seconds, for ever."""
        await self.synced.wait()
        while True:
            await self.dirty.wait()
            self.dirty.clear()
            await asyncio.sleep(quiet)
            self.dirty.clear()
            yield self


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def selected(objects: list[Object], labels: dict[str, str]) -> Iterator[Object]:
    """Yield the objects that carry all of `labels`."""
    for obj in objects:
        if labels.items() <= (obj["metadata"].get("labels") or {}).items():
            yield obj
