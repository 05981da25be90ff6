"""A collector's own spans: its passes, what it is asked in a manager's trace, and what it writes to sinks."""

import asyncio
import socket

import aiohttp

from collectors.access_log.engine import Engine
from collectors.request_statistics.row_query import RowQuery
from istio_templates.errors import TidegateError
from k8s_manager.api.authn.authenticators import Authenticators
from k8s_manager.api.authn.own_token import Token
from k8s_manager.api.listener.server import serve
from k8s_manager.collector.collector import Collector
from k8s_manager.collector.process import application
from k8s_manager.collector.row_endpoint import RowReaders
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.kube.client import KubeClient
from k8s_manager.manager import until as run_until
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.traces.span_endpoint import recording
from tests.collectors.access_log.lines import BEGIN, line
from tests.k8s_manager.traces.receiver import span_receiver
from tests.support.waiting import until


class AwaySink:
    """A sink that is away once, and then takes everything."""

    name = "memory"

    def __init__(self) -> None:
        self.rows, self.failed = 0, False

    async def write(self, rows):
        if not self.failed:
            self.failed = True
            raise SinkUnavailable(self.name, "it is away")
        self.rows += len(rows)
        return 0

    async def close(self):
        pass


async def test_a_question_of_a_manager_is_one_trace_and_every_pass_and_write_a_span(fleet, tmp_path):
    token = tmp_path / "token"
    token.write_text("of-the-test")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    async with (
        span_receiver() as receiver,
        recording(receiver.url, "tidegate-collector", "one") as spans,
        recording(receiver.url, "tidegate", "two") as asking,
        aiohttp.ClientSession() as session,
    ):
        sink, stop = AwaySink(), asyncio.Event()
        collector = Collector(KubeClient(fleet.server, session, spans), SystemClock(), sinks=[sink])
        app = application(collector, RowReaders(Authenticators([Token("of-the-test")]), ()), spans)
        parts = [watcher.run() for watcher in collector.watchers]
        running = asyncio.create_task(run_until(stop, *parts, collector.run(), serve(app, address, stop)))
        try:
            await until(collector.store.synced.is_set, what="the first list of everything")
            engine = Engine()
            rows = [*engine.feed("gw", [line(BEGIN) + b"\n"]), *engine.end("gw")]
            collector.sinks[0].put(rows)
            await until(lambda: sink.rows == len(rows) > 0, "the rows being written")
            pool = CollectorPool(f"http://127.0.0.1:{address[1]}", token, asking)

            async def answered():
                try:
                    return await pool.rows(RowQuery("model", 0, 2**40, 60), 0)
                except TidegateError:
                    return None

            await until(answered, what="an answer")
            await until(lambda: receiver.named("GET /rows"), what="the collector's span")
            await until(lambda: receiver.named("collector pass"), what="a pass")
        finally:
            stop.set()
            await running
        await until(lambda: receiver.named("read rows of collectors"), what="the manager's span")
    asked = {span.id: span for span in receiver.named("read rows of collectors")}
    (call, *_) = receiver.named("GET /rows")
    assert call.parent in asked and call.trace == asked[call.parent].trace
    assert (call.service, asked[call.parent].service) == ("tidegate-collector", "tidegate")
    first, second = receiver.named("write rows to memory")
    assert (first.failed, second.failed) == (True, False)
    assert first.attributes["error.type"] == "SinkUnavailable" and second.attributes["tidegate.rows"] == len(rows)
