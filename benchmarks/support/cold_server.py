"""A model server with a programmable cold start. Argument: HOST:PORT SLOW_CALLS.

It says at once that it is ready. Its first calls of each path take a tenth of a second, all later ones five
milliseconds; on its two workers, of which each is cold for itself.
"""

import asyncio
import sys
from collections import Counter

COLD, WARM, WORKERS = 0.1, 0.005, 2


class Server:
    """HTTP/1.1 with connections kept, and no more of it than a benchmark needs."""

    def __init__(self, slow_calls: int) -> None:
        self._slow_calls = slow_calls
        self._calls: Counter[tuple[int, str]] = Counter()
        self._turn = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ")
                length = 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode().partition(":")
                    length = int(value) if name.lower() == "content-length" else length
                await reader.readexactly(length)
                if method == "POST":
                    await self._infer(path)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _infer(self, path: str) -> None:
        self._turn += 1
        worker = self._turn % WORKERS
        self._calls[worker, path] += 1
        await asyncio.sleep(COLD if self._calls[worker, path] <= self._slow_calls else WARM)


async def main(address: str, slow_calls: int) -> None:
    """Serve until killed."""
    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(Server(slow_calls).serve, host, int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
