"""Where managers ask a collector for rows."""

import asyncio
from collections.abc import Collection
from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response

from collectors.access_log.rows import WINDOW
from collectors.request_statistics.row_query import FILE_STEP, RowQuery
from collectors.request_statistics.series import MINUTE
from istio_templates.errors import TidegateError
from k8s_manager.api.authn.authenticators import Authenticators, Unidentified
from k8s_manager.authz.roles import MASTERS
from k8s_manager.collector.collector import MOST_ROWS, Collector
from k8s_manager.collector.row_history import HistoryBusy
from k8s_manager.collector.sinks.parquet_rows import HistoryTooLarge

MEDIA_TYPE = "application/msgpack"


class RowReaders:
    """Who may read rows, which tell of all tenants: who has the token, and the service accounts that are named."""

    def __init__(self, proofs: Authenticators, names: Collection[str]) -> None:
        self._proofs, self._names = proofs, frozenset(names)

    async def __call__(self, authorization: Annotated[str, Header()] = "") -> None:
        """Let a call pass, or answer why not."""
        scheme, _, token = authorization.partition(" ")
        try:
            identity = await self._proofs.identity(token.strip() if scheme.lower() == "bearer" else None)
        except Unidentified as error:
            raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from error
        except TidegateError as error:
            raise HTTPException(503, str(error)) from error
        if MASTERS not in identity.groups and identity.name not in self._names:
            raise HTTPException(403, f"{identity.user} may not read rows; name it with --reader")


def add(app: FastAPI, collector: Collector, readers: RowReaders) -> None:
    """Add the route."""

    @app.get("/rows", dependencies=[Depends(readers)])
    async def rows(
        level: str,
        start: Annotated[int, Query(ge=0, le=2**40)],
        end: Annotated[int, Query(ge=0, le=2**40)],
        step: Annotated[int, Query(ge=WINDOW, multiple_of=WINDOW)],
        fine_since: Annotated[int, Query(ge=0, le=2**40)],
        gateway: str = "",
        tenant: str = "",
        model: str = "",
        grain: Annotated[int, Query(ge=MINUTE, le=FILE_STEP)] = MINUTE,
        arms: bool = False,
    ) -> Response:
        if step % grain or start % grain or grain != FILE_STEP:
            grain = MINUTE
        query = RowQuery(level, start, end, step, fine_since, gateway, tenant, model, grain, arms)
        try:
            found = await collector.read(query)
        except HistoryTooLarge as error:
            raise HTTPException(422, str(error)) from error
        except HistoryBusy as error:
            raise HTTPException(503, str(error)) from error
        if len(found.rows) > MOST_ROWS:
            raise HTTPException(422, f"{len(found.rows)} rows, more than {MOST_ROWS}; ask for less, or a longer step")
        body = await asyncio.to_thread(msgspec.msgpack.encode, found)
        return Response(body, media_type=MEDIA_TYPE)
