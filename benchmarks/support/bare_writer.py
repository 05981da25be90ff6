"""The least that can be done: watch pods, and for each event of one of them apply an EnvoyFilter. Nothing is decided.

python -m benchmarks.support.bare_writer SERVER NAMESPACE/POD FILE FILE: applies the two files in turn.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
import orjson

from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.resources import RESOURCES


async def main(server: str, pod: str, files: list[Path]) -> None:
    """Run until killed."""
    bodies = [orjson.loads(file.read_bytes()) for file in files]
    turn = 0
    async with aiohttp.ClientSession(trust_env=False, read_bufsize=2**22) as session:
        client = KubeClient(server, session)
        _, version = await client.list(RESOURCES["Pod"])
        print("watching", flush=True)
        while True:
            async for event, obj in client.watch(RESOURCES["Pod"], version):
                metadata, version = obj["metadata"], obj["metadata"]["resourceVersion"]
                if event == "MODIFIED" and f"{metadata['namespace']}/{metadata['name']}" == pod:
                    await client.apply(bodies[turn % 2], force=True, manager="tidegate")
                    turn += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], [Path(word) for word in sys.argv[3:]]))
