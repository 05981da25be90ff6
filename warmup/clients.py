"""The two transports: HTTP and gRPC to one address. What a server does wrong becomes a `Fault`, never an exception."""

import asyncio
from collections.abc import Mapping

import aiohttp
import grpc

from istio_templates.documents.warmup import Target
from istio_templates.host_port import joined
from warmup.wire import Answer, Fault, FaultKind, Request, ServerConnection

ANSWER_BYTES = 8 * 2**20
_PLAN_WRONG = (400, 405, 413, 414, 415, 422)
_GRPC_WRONG = ("INVALID_ARGUMENT", "UNIMPLEMENTED")


def connect(target: Target, address: str, plan: str, concurrency: int) -> ServerConnection:
    """Return a client of the server at `address`, to which every request says which `plan` it is from."""
    headers = {**target.headers, "x-tidegate-warmup": plan}
    if target.protocol.endswith("grpc"):
        return GrpcClient(address, target.port, headers)
    return HttpClient(address, target.port, headers, concurrency)


async def _connects(address: str, port: int, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class HttpClient:
    """Plain HTTP/1.1, connections kept."""

    def __init__(self, address: str, port: int, headers: Mapping[str, str], concurrency: int) -> None:
        self._address, self._port, self._headers = address, port, headers
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency + 1), trust_env=False, auto_decompress=True
        )

    async def send(self, request: Request, timeout: float) -> Answer:
        """Send a request and read its whole answer."""
        url = f"http://{joined(self._address, self._port)}{request.path}"
        headers = {**self._headers, **dict(request.headers)}
        try:
            async with self._session.request(
                request.method,
                url,
                data=request.body or None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as answer:
                body = await _bounded(answer)
        except TimeoutError:
            return Answer(
                fault=Fault("passing", f"{request.method} {request.path} was not answered within {timeout:g} s")
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said = f"{request.method} {request.path}: {error or type(error).__name__}"
            return Answer(fault=Fault("absent", said))
        if 200 <= answer.status < 300:
            return Answer(body)
        kind: FaultKind = "plan" if answer.status in _PLAN_WRONG else "passing"
        said = f"{request.method} {request.path} was answered with {answer.status}: {_words(body)}"
        return Answer(body, Fault(kind, said))

    async def connects(self, timeout: float) -> bool:
        """Tell whether the port takes a connection."""
        return await _connects(self._address, self._port, timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES:
            raise ValueError(f"the answer is longer than {ANSWER_BYTES} bytes")
    return bytes(body)


def _words(body: bytes) -> str:
    return " ".join(body[:200].decode("utf-8", "replace").split()) or "no words"


class GrpcClient:
    """Unary gRPC calls over one channel."""

    def __init__(self, address: str, port: int, headers: Mapping[str, str]) -> None:
        self._address, self._port = address, port
        self._metadata = tuple(headers.items())
        sizes = [("grpc.max_receive_message_length", ANSWER_BYTES), ("grpc.max_send_message_length", -1)]
        pauses = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        options = [*sizes, *pauses, ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(joined(address, port), options=options)

    async def send(self, request: Request, timeout: float) -> Answer:
        """Call a unary method; one that answers a stream of one message will do as well."""
        call = self._channel.unary_unary(request.path)
        try:
            body = await call(request.body, timeout=timeout, metadata=(*self._metadata, *request.headers))
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            kind: FaultKind = "plan" if code in _GRPC_WRONG else "absent" if code == "UNAVAILABLE" else "passing"
            return Answer(fault=Fault(kind, f"{request.path} was answered with {code}: {error.details()}"))
        return Answer(bytes(body))

    async def connects(self, timeout: float) -> bool:
        """Tell whether the port takes a connection."""
        return await _connects(self._address, self._port, timeout)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
