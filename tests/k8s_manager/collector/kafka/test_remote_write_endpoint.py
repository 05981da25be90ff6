"""The endpoint of remote write: answered when Kafka has the samples, and by a code that Prometheus understands."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from collectors.remote_write import NAME, WriteSample
from istio_templates.errors import Invalid
from k8s_manager.api.listener.server import serve
from k8s_manager.collector.kafka.cluster import KafkaCluster, KafkaUnavailable
from k8s_manager.collector.kafka.delivery import TopicMessage, TopicWriter
from k8s_manager.collector.kafka.remote_write_endpoint import (
    AT_ONCE,
    BODY_MAX,
    PLAIN_MAX,
    MessageWriter,
    RemoteWriteEndpoint,
    endpoint_application,
)
from k8s_manager.collector.kafka.sample_topics import SampleTopics
from k8s_manager.runtime import metrics
from k8s_manager.traces.span_endpoint import recording
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder
from tests.collectors.test_remote_write import UP, compressed, packed
from tests.k8s_manager.traces.receiver import span_receiver
from tests.support.kafka import TestTopic, mock_brokers
from tests.support.standalone import free_port
from tests.support.waiting import until

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
BODY = packed((UP, [(1000, 1.0)]), ({NAME: "node:cpu"}, [(1000, 2.0), (2000, 3.0)]))


class ScriptedWriter:
    """A writer in memory, which is away or `waits` for as long as the test says."""

    def __init__(self) -> None:
        self.is_away, self.waits = False, asyncio.Event()
        self.waits.set()
        self.messages: list[TopicMessage] = []
        self.calls = 0

    async def write(self, messages: Sequence[TopicMessage]) -> int:
        self.calls += 1
        await self.waits.wait()
        if self.is_away:
            raise KafkaUnavailable("Kafka at kafka:9092", "no broker")
        self.messages += messages
        return 0


class Endpoint:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def send(self, body: object = BODY, path: str = "/api/v1/write", **headers: str) -> tuple[int, str]:
        """Return the code and text of the answer; underscores in names of headers stand for hyphens."""
        given = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(self._url + path, data=body, headers=given) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str) -> float:
        async with self._session.get(self._url + "/metrics") as answer:
            return float(re.findall(rf"^{re.escape(name)} (\S+)$", await answer.text(), re.M)[0])


@asynccontextmanager
async def served(
    writer: MessageWriter, topics: str = "metrics", spans: SpanRecorder = NO_SPANS
) -> AsyncIterator[Endpoint]:
    port, stop = free_port(), asyncio.Event()
    app = endpoint_application(RemoteWriteEndpoint(writer, SampleTopics(topics), spans), spans)
    task = asyncio.create_task(serve(app, ("127.0.0.1", port), stop))
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}"

        async def lives() -> bool:
            try:
                async with session.get(f"{url}/healthz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(lives, what="the endpoint")
        yield Endpoint(url, session)
    stop.set()
    await task


async def test_samples_are_in_kafka_when_the_answer_comes():
    async with mock_brokers("metrics") as address, served(TopicWriter(KafkaCluster(address))) as endpoint:
        assert await endpoint.send() == (204, "")
        topic = TestTopic(address, "metrics")
        found = [(message.key(), orjson.loads(message.value())) for message in await topic.messages(3)]
        topic.close()
        assert sorted((key, one["name"], one["value"], one["timestamp"]) for key, one in found) == [
            (b"node:cpu", "node:cpu", "2", "1970-01-01T00:00:01Z"),
            (b"node:cpu", "node:cpu", "3", "1970-01-01T00:00:02Z"),
            (b"search", "up", "1", "1970-01-01T00:00:01Z"),
        ]
        assert await endpoint.metric('tidegate_remote_write_samples_total{result="written"}') == 3
        assert await endpoint.metric('tidegate_remote_write_requests_total{code="204"}') == 1


async def test_a_request_and_its_write_are_spans_of_its_callers_trace():
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with span_receiver() as receiver:
        async with recording(receiver.url, "tidegate-remote-write", "one") as spans:
            writer = ScriptedWriter()
            async with served(writer, spans=spans) as endpoint:
                assert await endpoint.send(traceparent=caller) == (204, "")
                writer.is_away = True
                assert (await endpoint.send(traceparent=caller))[0] == 503
        calls, writes = receiver.named("POST /api/v1/write"), receiver.named("write samples to Kafka")
    assert {span.trace for span in (*calls, *writes)} == {caller.split("-")[1]}
    assert [span.parent for span in writes] == [span.id for span in calls]
    assert [(span.failed, span.attributes["tidegate.samples"]) for span in writes] == [(False, 3), (True, 3)]


async def test_the_path_of_telefonicas_adapter_is_served_too():
    writer = ScriptedWriter()
    async with served(writer) as endpoint:
        assert (await endpoint.send(path="/receive"))[0] == 204
    assert len(writer.messages) == 3


async def test_while_no_broker_answers_prometheus_is_asked_to_send_it_again():
    cluster = KafkaCluster(f"127.0.0.1:{free_port()}")
    async with served(TopicWriter(cluster, answer_ms=100)) as endpoint:
        code, text = await endpoint.send()
    assert code == 503
    assert "does not answer as it should" in text and "check the brokers" in text


async def test_when_kafka_is_back_requests_are_taken_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "FRESH", -1.0)
    writer = ScriptedWriter()
    writer.is_away = True
    async with served(writer) as endpoint:
        assert (await endpoint.send())[0] == 503
        assert await endpoint.metric("tidegate_remote_write_held") == 1
        writer.is_away = False
        assert (await endpoint.send())[0] == 204
        assert await endpoint.metric("tidegate_remote_write_held") == 0


@pytest.mark.parametrize("body", [b"", b"{}", BODY[:-1], compressed(b"\xff\xff\xff")])
async def test_what_cannot_be_decoded_is_rejected_for_ever(body):
    writer = ScriptedWriter()
    async with served(writer) as endpoint:
        code, text = await endpoint.send(body)
    assert (code, writer.calls) == (400, 0)
    assert text.startswith("the body is no remote write 1.0")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content_Type": "application/json"}, 415),
        ({"Content_Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        ({"Content_Type": "application/x-protobuf; proto=prometheus.WriteRequest"}, 204),
        ({"Content_Encoding": "identity"}, 415),
    ],
)
async def test_only_remote_write_1_is_taken(headers, code):
    async with served(ScriptedWriter()) as endpoint:
        assert (await endpoint.send(**headers))[0] == code


async def test_a_body_that_is_too_large_is_rejected_by_what_it_says_of_itself():
    async with served(ScriptedWriter()) as endpoint:
        assert (await endpoint.send(compressed(bytes(PLAIN_MAX + 1))))[0] == 413
        assert (await endpoint.send(bytes(BODY_MAX + 1)))[0] == 413


async def test_a_body_of_unknown_length_is_read_no_further_than_allowed():
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX // 2**16 + 1):
            yield bytes(2**16)

    async with served(ScriptedWriter()) as endpoint:
        assert (await endpoint.send(pieces()))[0] == 413


async def test_more_requests_than_are_worked_on_at_once_are_sent_again():
    writer = ScriptedWriter()
    writer.waits.clear()
    async with served(writer) as endpoint:
        waiting = [asyncio.create_task(endpoint.send()) for _ in range(AT_ONCE)]
        await until(lambda: writer.calls == AT_ONCE)
        assert (await endpoint.send())[0] == 503
        writer.waits.set()
        assert {code for code, _ in await asyncio.gather(*waiting)} == {204}


@pytest.mark.parametrize(
    ("template", "labels", "topic"),
    [
        ("metrics", {}, "metrics"),
        ("metrics-{name}", {NAME: "node:cpu"}, "metrics-node_cpu"),
        ("{tenant}.samples", {"tenant": "se/arch"}, "se_arch.samples"),
        ("{tenant}.samples", {}, "none.samples"),
    ],
)
def test_a_topic_is_named_by_its_template(template, labels, topic):
    assert SampleTopics(template).message(WriteSample(labels, 0, 1.0)).topic == topic


@pytest.mark.parametrize("template", ["", ".", "a b", "metrics-{pod}", "metrics/{name}", "{name"])
def test_a_template_that_names_no_topic_is_rejected(template):
    with pytest.raises(Invalid, match="is no name of a topic"):
        SampleTopics(template)
