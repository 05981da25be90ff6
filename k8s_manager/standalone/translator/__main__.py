"""The translator as a process: python -m k8s_manager.standalone.translator SERVER HOST PORT

The token of the API is in the environment, as TIDEGATE_KUBE_TOKEN.
"""

import asyncio
import logging
import os
import sys

from k8s_manager.standalone.mirror import ApiConnection, Mirror
from k8s_manager.standalone.translator.ads import Ads, serve
from k8s_manager.standalone.translator.config import Config, GatewayPod
from k8s_manager.standalone.translator.omissions import OmissionLog
from k8s_manager.standalone.translator.snapshot import Snapshot, snapshot

log = logging.getLogger("translator")
KINDS = (
    "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "Service", "EndpointSlice", "Pod", "Secret",
    "Telemetry",
)  # fmt: skip
QUIET = 0.01


def config_of(mirror: Mirror) -> Config:
    """Return the objects in a mirror as the translator reads them."""
    return Config(*(mirror.all(kind) for kind in KINDS))


async def run(server: str, host: str, port: int, token: str) -> None:
    """Serve xDS until cancelled."""
    mirror = Mirror(ApiConnection(server, token, "translator"), KINDS)
    made: dict[tuple[str, str, str], tuple[int, Snapshot]] = {}
    omissions = OmissionLog()

    def source(pod: GatewayPod) -> Snapshot:
        key = (pod.namespace, pod.address, str(sorted(pod.labels.items())))
        before = made.get(key, (-1, {}))
        if before[0] != mirror.changes:
            config = config_of(mirror)
            try:
                made[key] = (mirror.changes, snapshot(config, pod))
            except Exception:  # an unforeseen error: Envoys go on with what they have
                log.exception("the objects cannot be translated for gateway pod %s; it keeps what it runs", pod.address)
                made[key] = (mirror.changes, before[1])
            for said in omissions.new(key, config.omissions.found):
                log.warning("%s", said)
        return made[key][1]

    ads = Ads(source)
    async with asyncio.TaskGroup() as group:
        group.create_task(mirror.run())
        await mirror.synced.wait()
        # Kept in a name: a server without a reference is collected and stops.
        listening, _ = await serve(ads, host, port)
        async for _ in mirror.settled(QUIET):
            ads.changed()
        await listening.stop(None)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), os.environ["TIDEGATE_KUBE_TOKEN"]))
