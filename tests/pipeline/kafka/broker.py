"""A real Kafka broker of one node, from its jars, that can be stopped, killed and started again."""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from tests.pipeline.jars import jars
from tests.support.bounds import hung
from tests.support.standalone import free_port
from tests.support.waiting import until

SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={folder}/data
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
HERE = Path(__file__).parent
LOG = HERE / "log4j2.properties"
JAVA = (
    "java",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    f"-Dlog4j2.configurationFile={LOG}",
)


class RealBroker:
    """The broker whose data lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self._java = (*JAVA, "-cp", f"{jars(HERE / 'pom.xml', 'kafka')}/*")
        self.address = f"127.0.0.1:{self.port}"
        self._file = folder / "server.properties"
        self._file.write_text(SETTINGS.format(port=self.port, controller=free_port(), folder=folder))
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and return when the broker answers."""
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not (self._folder / "data").exists():  # an identity that begins with a dash would be an option
            tool = (
                *self._java,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                f"T{identity[1:]}",
                "-c",
                str(self._file),
                "--standalone",
            )
            await asyncio.to_thread(subprocess.run, tool, check=True, capture_output=True)
        with (self._folder / "broker.log").open("ab") as log:
            command = (*self._java, "kafka.Kafka", str(self._file))
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        await until(self._listens, what=f"a broker at {self.address}, whose log is in {self._folder}")

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop, or with SIGKILL die."""
        if self._process is not None:
            os.kill(self._process.pid, number)
            await asyncio.to_thread(self._process.wait, hung())
        self._process = None

    async def make_topic(self, name: str, partitions: int = 4, **config: str) -> None:
        """Make a topic; underscores in the names of its settings stand for dots."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        admin = AdminClient({"bootstrap.servers": self.address})
        made = admin.create_topics([NewTopic(name, partitions, 1, config=settings)])
        await asyncio.to_thread(made[name].result, hung())

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the broker has ended; see its log"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), hung()):
            return True
        return False


@contextlib.asynccontextmanager
async def real_broker(folder: Path) -> AsyncIterator[RealBroker]:
    """A broker that runs, and has ended afterwards."""
    broker = RealBroker(folder)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()
