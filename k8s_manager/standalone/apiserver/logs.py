"""Logs of containers, as `kubectl logs` reads them: files that the node writes."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from k8s_manager.standalone.apiserver.errors import ApiError

Object = dict[str, Any]
PAUSE = 0.3  # seconds between two looks at a file that is followed


async def logs(request: web.Request, pods: Path | None, pod: Object) -> web.StreamResponse:
    """Answer with the log of one container of a pod, and go on with it where the caller follows."""
    file = _file(request, pods, pod)
    text = file.read_bytes() if file.exists() and not _is_older(file, request.query.get("sinceTime")) else b""
    if tail := request.query.get("tailLines"):
        lines = text.splitlines(keepends=True)
        text = b"".join(lines[max(0, len(lines) - int(tail)) :])
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    await response.write(text)
    place = file.stat().st_size if file.exists() else 0
    while request.query.get("follow") == "true" and file.exists():
        await asyncio.sleep(PAUSE)
        if file.stat().st_size < place:  # it was cut meanwhile
            place = 0
        with file.open("rb") as source:
            source.seek(place)
            more = source.read()
        place += len(more)
        if more:
            await response.write(more)
    await response.write_eof()
    return response


def _is_older(file: Path, since: str | None) -> bool:
    """Tell whether nothing was written since a moment. Lines have no moments here: else all of them count as newer."""
    if not since:
        return False
    try:
        return file.stat().st_mtime < datetime.fromisoformat(since).timestamp()
    except ValueError:
        raise ApiError(400, "BadRequest", f"sinceTime {since} is no moment; write 2026-11-29T15:26:40Z") from None


def _file(request: web.Request, pods: Path | None, pod: Object) -> Path:
    """Return where a container's log is; raises 400 or 404."""
    containers = [container["name"] for container in pod["spec"].get("containers") or []]
    wanted, metadata = request.query.get("container") or (containers or [""])[0], pod["metadata"]
    if wanted not in containers:
        said = f"container {wanted} is not valid for pod {metadata['name']}; its containers are {', '.join(containers)}"
        raise ApiError(400, "BadRequest", said)
    if pods is None:
        raise ApiError(404, "NotFound", "this API keeps no logs")
    ending = ".previous.log" if request.query.get("previous") == "true" else ".log"
    return pods / f"{metadata['namespace']}_{metadata['name']}" / f"{wanted}{ending}"
