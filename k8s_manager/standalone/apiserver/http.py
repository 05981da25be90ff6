"""The embedded Kubernetes API over HTTP."""

import asyncio
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import yaml
from aiohttp import web

from k8s_manager.standalone.apiserver import pod_metrics, scale
from k8s_manager.standalone.apiserver.discovery import discovered
from k8s_manager.standalone.apiserver.errors import ApiError
from k8s_manager.standalone.apiserver.logs import logs
from k8s_manager.standalone.apiserver.registrar import CRDS, Registrar, resource_of
from k8s_manager.standalone.apiserver.registry import Kind
from k8s_manager.standalone.apiserver.selectors import matcher
from k8s_manager.standalone.apiserver.store import CommittedWrite, ObjectStore
from k8s_manager.standalone.apiserver.tables import TABLE, table

Object = dict[str, Any]
BOOKMARK_SECONDS, BOOKMARK_BEFORE_END = 15.0, 2.0
SNAPSHOT_SECONDS = 300.0
PODS = "/pods"
"""Pods in the store."""
REGISTRAR = web.AppKey("registrar", Registrar)


class Api:
    """Routes requests to the registrar. `counts` has every request by verb, resource and code."""

    def __init__(self, registrar: Registrar, token: str | None, pods: Path | None = None) -> None:
        self._registrar, self._token, self._pods = registrar, token, pods
        self._snapshots: dict[str, tuple[float, list[Object], int]] = {}
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=3 * 2**20)
        app[REGISTRAR] = self._registrar
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/{health:healthz|readyz|livez}", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "34", "gitVersion": "v1.34.0-embedded"})

    async def _metrics(self, _: web.Request) -> web.Response:
        lines = ["# TYPE apiserver_request_total counter"]
        for (verb, resource, code), count in sorted(self.counts.items()):
            lines.append(f'apiserver_request_total{{verb="{verb}",resource="{resource}",code="{code}"}} {count}')
        return web.Response(text="\n".join(lines) + "\n")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        verb, resource = request.method, ""
        try:
            if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
                raise ApiError(401, "Unauthorized", "Unauthorized")
            registrar = self._registrar
            crds = partial(registrar.store.every, CRDS)
            if request.method == "GET" and (found := discovered(request.path, registrar.kinds, crds)) is not None:
                return _json(200, found)
            group_version, namespace, resource, name, sub = _place(request.path)
            kind = self._registrar.kind(group_version, resource)
            if kind.is_measured:
                resource = "podmetrics"
                answer: web.StreamResponse = _json(200, self._measured(request, namespace, name, sub))
            elif request.method == "GET" and not name:
                verb = "WATCH" if request.query.get("watch") in ("true", "1") else "LIST"
                answer = await (self._watch if verb == "WATCH" else self._list)(request, kind, namespace)
            elif sub == "log" and kind.kind == "Pod":
                return await logs(request, self._pods, self._registrar.get(kind, namespace, name))
            else:
                body = await _body(request)
                found = self._one(request, kind, namespace, name, sub, body)
                is_shown = request.method == "GET" and _wants_table(request)
                answer = _json(200, self._table(kind, [found], {}) if is_shown else found)
        except ApiError as error:
            answer = _json(error.code, error.status())
        # A dry run changes nothing, so it is not counted as a write.
        self.counts["TRIED" if request.query.get("dryRun") else verb, resource, answer.status] += 1
        return answer

    def _table(self, kind: Kind, objects: list[Object], metadata: Object) -> Object:
        crds = self._registrar.store.every(CRDS) if kind.is_custom else []
        crd = next((crd for crd in crds if crd["spec"]["names"]["plural"] == kind.plural), None)
        return table(kind, objects, crd, metadata, datetime.now(UTC))

    def _measured(self, request: web.Request, namespace: str, name: str, sub: str) -> Object:
        pod_metrics.require_readable(request.method, request.query.get("watch") in ("true", "1"), sub)
        if name:
            return pod_metrics.of_pod(self._registrar.store.get(PODS, namespace, name), name, self._pods)
        pods = self._registrar.store.every(PODS, namespace)
        return pod_metrics.listed(pods, _selected(request), self._pods)

    def _one(self, request: web.Request, kind: Kind, namespace: str, name: str, sub: str, body: Object) -> Object:
        registrar, query = self._registrar, request.query
        if sub == "scale" and kind.kind in scale.KINDS:
            return self._scaled(request, kind, namespace, name, body)
        if sub not in ("", "status"):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        manager = _field_manager(request)
        is_strict = query.get("fieldValidation") == "Strict" and request.method in ("POST", "PUT", "PATCH")
        if is_strict and (unknown := kind.undeclared(body)) is not None:
            raise ApiError(400, "BadRequest", f'strict decoding error: unknown field "{unknown.lstrip(".")}"')
        dry, content_type = query.get("dryRun") == "All", request.content_type
        match request.method:
            case "GET":
                return _shown(kind, registrar.get(kind, namespace, name))
            case "POST" if not name:
                return _shown(kind, registrar.create(kind, namespace, body, manager, dry))
            case "PUT":
                return _shown(kind, registrar.replace(kind, namespace, name, body, manager, sub, dry))
            case "PATCH" if content_type == "application/apply-patch+yaml":
                if "fieldManager" not in query:
                    raise ApiError(400, "BadRequest", "fieldManager is required for apply patch")
                force = query.get("force") == "true"
                return _shown(kind, registrar.apply(kind, namespace, name, body, manager, force, sub, dry))
            case "PATCH":
                strategic = content_type == "application/strategic-merge-patch+json"
                return _shown(kind, registrar.patch(kind, namespace, name, body, manager, strategic, sub, dry))
            case "DELETE" if name:
                return _shown(kind, registrar.delete(kind, namespace, name, body))
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _scaled(self, request: web.Request, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Read or set the replicas of a workload through its Scale."""
        registrar = self._registrar
        if request.method not in ("GET", "PUT", "PATCH"):
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if request.method != "GET":
            dry, manager = request.query.get("dryRun") == "All", _field_manager(request)
            registrar.patch(kind, namespace, name, scale.patch_of(body), manager, False, "", dry)
        return scale.scale_of(registrar.get(kind, namespace, name))

    async def _list(self, request: web.Request, kind: Kind, namespace: str) -> web.Response:
        query = request.query
        if token := query.get("continue"):
            found = self._snapshots.pop(token, None)
            if found is None:
                raise ApiError(410, "Expired", "The provided continue parameter is too old")
            _, items, version = found
        else:
            selected = _selected(request)
            items = [obj for obj in self._registrar.store.every(resource_of(kind), namespace) if selected(obj)]
            version = self._registrar.store.version
        limit = int(query.get("limit") or 0)
        metadata: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            metadata |= {"continue": self._remember(items[limit:], version), "remainingItemCount": len(items) - limit}
            items = items[:limit]
        shown = [_shown(kind, obj) for obj in items]
        if _wants_table(request):
            return _json(200, self._table(kind, shown, metadata))
        return _json(
            200, {"kind": f"{kind.kind}List", "apiVersion": kind.group_version, "metadata": metadata, "items": shown}
        )

    def _remember(self, items: list[Object], version: int) -> str:
        now = time.monotonic()
        self._snapshots = {
            token: found for token, found in self._snapshots.items() if now - found[0] < SNAPSHOT_SECONDS
        }
        token = secrets.token_urlsafe(12)
        self._snapshots[token] = (now, items, version)
        return token

    async def _watch(self, request: web.Request, kind: Kind, namespace: str) -> web.StreamResponse:
        query, selected, store = request.query, _selected(request), self._registrar.store
        since = int(query.get("resourceVersion") or 0)
        initial = [] if since else store.every(resource_of(kind), namespace)
        if since == 0:
            since = store.version
        length = float(query.get("timeoutSeconds") or 3600)
        idle = max(0.1, min(BOOKMARK_SECONDS, length - BOOKMARK_BEFORE_END))
        changes = store.watch(resource_of(kind), since, idle, _until(length))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        first, as_table = True, _wants_table(request)

        def shown(obj: Object) -> Object:
            version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return self._table(kind, [obj] if "name" in obj["metadata"] else [], version) if as_table else obj

        try:
            async for change in _started(changes):
                if first:
                    await response.prepare(request)
                    first = False
                    found = [("ADDED", _shown(kind, obj)) for obj in initial if selected(obj)]
                    await response.write(b"".join(_line(event, shown(obj)) for event, obj in found))
                bookmarks = "allowWatchBookmarks" in query
                if event := _event(change, kind, namespace, selected, bookmarks):
                    await response.write(_line(event[0], shown(event[1])))
        except ApiError as error:
            if first:
                raise
            await response.write(_line("ERROR", error.status()))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            await changes.aclose()
        return response


async def _started(changes: Any) -> Any:
    """Yield a first None once the watch stands, so that its answer begins before anything happens."""
    step = asyncio.ensure_future(anext(changes, StopAsyncIteration))
    await asyncio.sleep(0)
    if not step.done():
        yield None
    while (change := await step) is not StopAsyncIteration:
        yield change
        step = asyncio.ensure_future(anext(changes, StopAsyncIteration))


def _until(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _event(
    change: CommittedWrite | None,
    kind: Kind,
    namespace: str,
    selected: Callable[[Object], bool],
    bookmarks: bool,
) -> tuple[str, Object] | None:
    """Return the event of a watch for a change, or for the version until which there was none; None for no event."""
    if change is None:
        return None
    if change.before is None and change.after is None:
        metadata = {"resourceVersion": str(change.version)}
        bookmark = {"kind": kind.kind, "apiVersion": kind.group_version, "metadata": metadata}
        return ("BOOKMARK", bookmark) if bookmarks else None
    obj = change.after or change.before or {}
    if namespace and obj["metadata"].get("namespace") != namespace:
        return None
    was = change.before is not None and selected(change.before)
    is_now = change.after is not None and selected(change.after)
    if not was and not is_now:
        return None
    gone = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(change.version)}}
    return "MODIFIED" if was and is_now else "ADDED" if is_now else "DELETED", _shown(kind, obj if is_now else gone)


def _line(event: str, obj: Object) -> bytes:
    return orjson.dumps({"type": event, "object": obj}) + b"\n"


def _field_manager(request: web.Request) -> str:
    """Return under which name a caller writes fields."""
    return request.query.get("fieldManager") or request.headers.get("User-Agent", "unknown").split("/")[0]


def _wants_table(request: web.Request) -> bool:
    return TABLE.search(request.headers.get("Accept", "")) is not None


def _selected(request: web.Request) -> Callable[[Object], bool]:
    return matcher(request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))


def _shown(kind: Kind, obj: Object) -> Object:
    return obj if obj.get("apiVersion") == kind.group_version else {**obj, "apiVersion": kind.group_version}


def _json(status: int, body: Object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


async def _body(request: web.Request) -> Object:
    raw = await request.read()
    if not raw:
        return {}
    if "protobuf" in request.content_type or "json-patch" in request.content_type:
        said = f"{request.content_type} is not read by a standalone; send JSON or YAML, such as by kubectl apply -f"
        raise ApiError(415, "UnsupportedMediaType", said)
    try:
        found = (
            yaml.load(raw, Loader=yaml.CSafeLoader)
            if request.content_type == "application/apply-patch+yaml" and raw[:1] != b"{"
            else orjson.loads(raw)
        )
    except (ValueError, yaml.YAMLError) as error:
        raise ApiError(400, "BadRequest", f"the body cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(400, "BadRequest", "the body is not an object")
    return found


def _place(path: str) -> tuple[str, str, str, str, str]:
    """Return (group/version, namespace, plural, name, subresource) of a path; raises 404."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group_version, rest = "/".join(parts[1:2]), parts[2:]
    elif parts[0] == "apis":
        group_version, rest = "/".join(parts[1:3]), parts[3:]
    else:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] != "status":
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = (*rest, "", "", "")[:3]
    return group_version, namespace, plural, name, sub


async def serve(
    host: str, port: int, file: Path | None, token: str | None, tls: tuple[int, Path, Path] | None = None
) -> tuple[web.AppRunner, int]:
    """Start the API, over TLS too on another port with a certificate and its key; return its runner and the port that
    it listens on."""
    api = Api(Registrar(ObjectStore(file)), token, file.parent / "pods" if file else None)
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls[1], tls[2])
        await web.TCPSite(runner, host, tls[0], ssl_context=context).start()
    return runner, runner.addresses[0][1]
