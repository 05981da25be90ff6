"""gRPC model servers that tests play, from the definitions that are under test; and a real health and reflection."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from warmup.protos import message

Handler = Callable[[Any, Any], Awaitable[Any]]


@asynccontextmanager
async def grpc_server(*services: grpc.GenericRpcHandler, with_health: bool = False) -> AsyncIterator[int]:
    """Run a server of these services; yield its port."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(services)
    if with_health:
        servicer = health.aio.HealthServicer()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        reflection.enable_server_reflection(("grpc.health.v1.Health", reflection.SERVICE_NAME), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def service(name: str, **methods: tuple[str, Handler]) -> grpc.GenericRpcHandler:
    """Return a service; each method with the name of its request's message and what it does."""
    return grpc.method_handlers_generic_handler(
        name,
        {
            method: grpc.unary_unary_rpc_method_handler(
                handler, message(asked).FromString, lambda answer: answer.SerializeToString()
            )
            for method, (asked, handler) in methods.items()
        },
    )
