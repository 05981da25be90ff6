"""A model server that speaks gRPC: any method answers with the bytes that it was sent. Argument: HOST:PORT."""

import asyncio
import sys

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        async def echo(request, _):
            return request

        return grpc.unary_unary_rpc_method_handler(echo)


async def main(address: str) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
