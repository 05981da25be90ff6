"""The Kubernetes API in seven verbs, on plain dicts.

Configuration and TLS come from the official client; the calls are our own, since typed models cost several
times the time and memory and refuse fields that they do not know yet.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from collectors.http import bounded_body
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import MANAGER
from k8s_manager.kube.answers import deleted_in, event_in, made_in, mapping_in, object_in, page_in
from k8s_manager.kube.errors import Expired, Unavailable, error_of
from k8s_manager.kube.resources import RESOURCES, Resource, path_of
from k8s_manager.runtime.metrics import KUBE_REQUESTS
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

PAGE, MOST_PAGES = 500, 2_000
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
CALL_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# A kind in which nothing happens gets no bookmarks either where etcd reports no progress: only that a watch ends, and
# can be opened again, shows that the server is still there. One that does not end in time is dead.
WATCH_SECONDS = 45
WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + 15)

_RENEWED = "/apis/coordination.k8s.io/"
"""Writes without a span: Leases are renewed every few seconds, and nobody waits for that."""
LOG_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)


class KubeClient:
    """One connection pool to one API server. Every failure is a member of the tree in `kube.errors`; each write is a
    span."""

    def __init__(self, server: str, session: aiohttp.ClientSession, spans: SpanRecorder = NO_SPANS) -> None:
        self.server = server.rstrip("/")
        self.session, self.spans = session, spans

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def ask(self, path: str) -> Manifest:
        """Return what is at a path that is no object, such as `/version`."""
        return mapping_in(await self.call("GET", path, f"get {path}"), f"get {path}")

    async def bounded(self, path: str, what: str, most: int) -> Any:
        """Return what an API that others serve behind the API server answers at a path, if that has at most so many
        bytes; raises `Unavailable` where it has more."""
        try:
            async with self.session.get(self.server + path, timeout=CALL_TIMEOUT) as answer:
                content = _content(await bounded_body(answer, most))
                KUBE_REQUESTS.labels("GET", str(answer.status)).inc()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{what}: {error or type(error).__name__}; it is tried again") from error
        if answer.status >= 400:
            raise error_of(answer.status, _told(content), what, answer.headers.get("Retry-After"))
        return content

    async def get(self, key: ObjectKey) -> Manifest:
        """Return one object."""
        return object_in(await self.call("GET", path_of(key), f"get {key}"), f"get {key}", key)

    async def list(self, resource: Resource, selector: str = "", namespace: str = "") -> tuple[list[Manifest], str]:
        """Return all objects of a kind (in a namespace), read in pages, and the resourceVersion of the list."""
        items: list[Manifest] = []
        version = ""
        async for page, listed_at in self.pages(resource, selector, namespace):
            items += page
            version = listed_at
        return items, version

    async def pages(
        self, resource: Resource, selector: str = "", namespace: str = "", size: int = PAGE
    ) -> AsyncIterator[tuple[Sequence[Manifest], str]]:
        """Yield all objects of a kind (in a namespace) page by page, `size` at a time, each with the resourceVersion of
        the list: for who keeps little of each."""
        query, what = (
            {"limit": str(size), **({"labelSelector": selector} if selector else {})},
            f"list {resource.plural}",
        )
        for _ in range(MOST_PAGES):
            page = await self.call("GET", resource.path(namespace), what, query)
            found, version, following = page_in(page, what, resource)
            yield found, version
            if not following:
                return
            query["continue"] = following
        raise Unavailable(f"{what}: more than {MOST_PAGES} pages of {size}; it is tried again")

    async def watch(self, resource: Resource, version: str, selector: str = "") -> AsyncIterator[tuple[str, Manifest]]:
        """Yield (type, object) from `version` on, bookmarks included, until the server ends the watch.

        Raises `Expired` where the version is too old, also when the server says so inside the stream.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            **({"labelSelector": selector} if selector else {}),
        }
        what = f"watch {resource.plural}"
        try:
            async with self.session.get(self.server + resource.path(), params=query, timeout=WATCH_TIMEOUT) as answer:
                if answer.status != 200:
                    raise error_of(answer.status, _told(await _body(answer)), what, answer.headers.get("Retry-After"))
                async for line in answer.content:
                    kind, obj = event_in(orjson.loads(line), what)
                    yield kind, {**obj, "kind": resource.kind}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unavailable(f"{what}: {error or type(error).__name__}; it is opened again") from error

    async def log(self, pod: ObjectKey, container: str, since: str) -> AsyncIterator[bytes]:
        """Yield what a container has written since a moment (RFC 3339) and what it goes on to write, piece by piece,
        until the server ends that or nothing has come for a while; an empty piece as soon as it can be read."""
        async for piece in self.pod_log(pod, {"container": container, "follow": "true", "sinceTime": since}):
            yield piece

    async def log_beginning(self, pod: ObjectKey, container: str) -> float | None:
        """Return when the oldest line that the node still gives was written (epoch seconds); None where there is
        none."""
        first = b""
        async for piece in self.pod_log(pod, {"container": container, "timestamps": "true", "limitBytes": "64"}):
            first += piece
        try:
            return datetime.fromisoformat(first.partition(b" ")[0].decode()).timestamp()
        except ValueError:  # no line, or a sentence that says why
            return None

    async def pod_log(self, pod: ObjectKey, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield what a query asks of a pod's log (the parameters of Kubernetes' log subresource), as `log` does."""
        what, is_open = f"log of {pod}", False
        try:
            async with self.session.get(self.server + path_of(pod, "log"), params=query, timeout=LOG_TIMEOUT) as answer:
                if answer.status != 200:
                    raise error_of(answer.status, _told(await _body(answer)), what, answer.headers.get("Retry-After"))
                is_open = True
                yield b""
                async for piece in answer.content.iter_any():
                    yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            if is_open and isinstance(error, TimeoutError):
                return
            raise Unavailable(f"{what}: {error or type(error).__name__}; it is opened again") from error

    async def apply(self, obj: Manifest, force: bool, manager: str = MANAGER, dry_run: bool = False) -> Manifest:
        """Apply an object server-side and return what the server holds now."""
        key = ObjectKey(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        query = {"fieldManager": manager, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
        what = f"apply {key}"
        answer = await self.call("PATCH", path_of(key), what, query, obj, _APPLY)
        return object_in(answer, what, key, is_stored=not dry_run)

    async def merge(self, key: ObjectKey, patch: Manifest, subresource: str = "") -> Manifest:
        """Merge a patch into an object or its subresource."""
        return await self._patch(key, patch, subresource, _MERGE)

    async def strategic(self, key: ObjectKey, patch: Manifest, subresource: str = "") -> Manifest:
        """Merge a patch into an object of a built-in kind, its keyed lists item by item."""
        return await self._patch(key, patch, subresource, _STRATEGIC)

    async def _patch(self, key: ObjectKey, patch: Manifest, subresource: str, content_type: str) -> Manifest:
        what, query = f"patch {key}", {"fieldManager": MANAGER}
        content = await self.call("PATCH", path_of(key, subresource), what, query, patch, content_type)
        return object_in(content, what, key)

    async def scale(self, key: ObjectKey, replicas: int, manager: str, base: Manifest) -> None:
        """Set the replicas of a workload by its scale subresource, under a field manager; raises `WriteConflict` where
        the workload is not as in `base` any more."""
        version = {"resourceVersion": base["metadata"]["resourceVersion"]}
        body = {"metadata": version, "spec": {"replicas": replicas}}
        await self.call("PATCH", path_of(key, "scale"), f"scale {key}", {"fieldManager": manager}, body, _MERGE)

    async def create(self, obj: Manifest) -> Manifest:
        """Create an object."""
        resource = RESOURCES[obj["kind"]]
        path = resource.path(obj["metadata"].get("namespace", ""))
        name = obj["metadata"].get("name") or obj["metadata"].get("generateName")
        what = f"create {obj['kind']} {name}"
        return made_in(await self.call("POST", path, what, {"fieldManager": MANAGER}, obj), what, obj["kind"])

    async def replace(self, obj: Manifest) -> Manifest:
        """Replace an object that was read at its resourceVersion; raises `WriteConflict` if it has changed since."""
        key = ObjectKey(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        what = f"replace {key}"
        return object_in(await self.call("PUT", path_of(key), what, {"fieldManager": MANAGER}, obj), what, key)

    async def delete(self, key: ObjectKey, uid: str | None = None, version: str | None = None) -> None:
        """Delete an object, if it still is the one with `uid`, and at the resourceVersion `version`."""
        body: Manifest = {"propagationPolicy": "Background"}
        if conditions := {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value}:
            body["preconditions"] = conditions
        deleted_in(await self.call("DELETE", path_of(key), f"delete {key}", None, body), f"delete {key}")

    async def call(
        self,
        method: str,
        path: str,
        what: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Send one request; return the content of a successful answer: its JSON, its text where it is no JSON, or None
        where it is empty. Every verb but `watch` goes this way."""
        if not _is_span(method, path):
            return await self._send(method, path, what, query, body, {"Content-Type": content_type})
        with self.spans.span(_span_name(what), {"http.request.method": method, "url.path": path}, is_call=True):
            headers = {"Content-Type": content_type, **self.spans.headers()}
            return await self._send(method, path, what, query, body, headers)

    async def _send(
        self,
        method: str,
        path: str,
        what: str,
        query: dict[str, str] | None,
        body: Manifest | None,
        headers: dict[str, str],
    ) -> Any:
        data = None if body is None else orjson.dumps(body)
        if not data:
            del headers["Content-Type"]
        try:
            async with self.session.request(
                method, self.server + path, params=query, data=data, headers=headers, timeout=CALL_TIMEOUT
            ) as answer:
                content = await _body(answer)
                KUBE_REQUESTS.labels(method, str(answer.status)).inc()
                if _is_span(method, path):
                    self.spans.note({"http.response.status_code": answer.status})
                if answer.status >= 400:
                    raise error_of(answer.status, _told(content), what, answer.headers.get("Retry-After"))
                return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{what}: {error or type(error).__name__}; it is tried again") from error


def _is_span(method: str, path: str) -> bool:
    """Tell whether a call is a span: it writes, and no Lease."""
    return method != "GET" and not path.startswith(_RENEWED)


def _span_name(what: str) -> str:
    """Return the name of the span of a call: `apply Model` of `apply Model search/ranker`, one for each kind."""
    return " ".join(what.split(" ", 2)[:2])


async def _body(answer: aiohttp.ClientResponse) -> Any:
    """Return the JSON in an answer, or its text where there is none."""
    return _content(await answer.read())


def _content(raw: bytes) -> Any:
    try:
        return orjson.loads(raw) if raw else None
    except ValueError:
        return raw[:200].decode("utf-8", "replace")


def _told(content: Any) -> dict[str, Any]:
    """Return the content of an answer that is no success, as a mapping."""
    return content if isinstance(content, dict) else {"message": str(content or "")}


__all__ = ["Expired", "KubeClient"]
