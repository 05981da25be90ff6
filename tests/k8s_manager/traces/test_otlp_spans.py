"""Spans as their receiver gets them, and what becomes of them where it is away, slow, or too many come."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from istio_templates.errors import Invalid, Stalled
from k8s_manager.runtime.metrics import SPANS
from k8s_manager.traces import span_queue
from k8s_manager.traces.document_changes import DocumentChanges
from k8s_manager.traces.span_endpoint import TracingAbsent, endpoint_at, recorder_at, recording
from k8s_manager.traces.span_queue import SpanQueue
from k8s_manager.traces.spans import NO_SPANS
from tests.k8s_manager.traces.receiver import span_receiver
from tests.support.bounds import hung
from tests.support.waiting import until


def counted(result: str) -> float:
    return SPANS.labels(result)._value.get()


async def test_a_span_within_another_is_its_child_also_in_a_task_made_there():
    async with span_receiver() as receiver, recording(receiver.url, "tidegate", "one") as spans:

        async def inner():
            with spans.span("inner", is_call=True):
                spans.note({"code": 200})

        with spans.span("outer", {"names": ["a", "b"]}):
            await asyncio.create_task(inner())
        await until(lambda: receiver.named("outer"), what="the spans")
        (outer,), (found,) = receiver.named("outer"), receiver.named("inner")
        assert (found.trace, found.parent, found.kind) == (outer.trace, outer.id, 3)
        assert (outer.parent, outer.kind, outer.attributes) == ("", 1, {"names": ["a", "b"]})
        assert found.attributes == {"code": 200} and not found.failed
        assert receiver.paths == ["/v1/traces"] and outer.service == "tidegate"


async def test_what_fails_is_a_span_that_failed_and_says_no_more_than_the_kind_of_error():
    async with span_receiver() as receiver:
        async with recording(receiver.url, "tidegate", "one") as spans:
            with pytest.raises(Stalled), spans.span("failing"):
                raise Stalled("with a secret in it")
        (found,) = receiver.named("failing")
        assert found.failed and found.attributes == {"error.type": "Stalled"}


async def test_what_is_left_is_sent_at_the_end():
    async with span_receiver() as receiver:
        async with recording(receiver.url, "tidegate", "one") as spans:
            for _ in range(span_queue.BATCH + 1):
                with spans.span("one"):
                    pass
        assert len(receiver.spans) == span_queue.BATCH + 1


async def test_the_context_goes_on_in_a_header_and_without_a_span_there_is_none():
    async with span_receiver() as receiver:
        async with recording(receiver.url, "tidegate", "one") as spans:
            assert spans.headers() == {}
            with spans.span("calling"):
                header = spans.headers()["traceparent"]
        (found,) = receiver.named("calling")
        begin, flags = header.rsplit("-", 1)
        assert begin == f"00-{found.trace}-{found.id}" and int(flags, 16) & 1, "it is sampled"


async def test_no_tracer_is_set_for_libraries_that_look_for_one():
    async with span_receiver() as receiver, recording(receiver.url, "tidegate", "one"):
        with trace.get_tracer("a library").start_as_current_span("of the library") as span:
            assert not span.is_recording()


async def test_a_receiver_that_refuses_costs_spans_that_are_counted_until_it_takes_them_again():
    async with span_receiver() as receiver, recording(receiver.url, "tidegate", "one") as spans:
        failed, sent = counted("failed"), counted("sent")
        receiver.status = 400
        with spans.span("lost"):
            pass
        await until(lambda: counted("failed") == failed + 1, "the span being lost")
        receiver.status = 200
        with spans.span("taken"):
            pass
        await until(lambda: receiver.named("taken"), what="the next one")
        await until(lambda: counted("sent") == sent + 1, "the next one being counted")
        assert not receiver.named("lost")


async def test_a_receiver_that_never_answers_holds_up_neither_the_work_nor_the_end():
    async with span_receiver() as receiver:
        receiver.hangs = True
        async with asyncio.timeout(hung()), recording(receiver.url, "tidegate", "one") as spans:
            for _ in range(span_queue.MOST):
                with spans.span("waiting"):
                    pass


class StoppedExporter(SpanExporter):
    """Takes nothing before it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.taken = threading.Event(), threading.Event(), 0

    def export(self, spans):
        self.begun.set()
        self.go.wait(hung())
        self.taken += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self):
        self.go.set()


@contextmanager
def queue_of(exporter: SpanExporter, most: int) -> Iterator[tuple[SpanQueue, trace.Tracer]]:
    queue = SpanQueue(exporter, "http://receiver", most, every=0.01)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    yield queue, provider.get_tracer("test")
    queue.shutdown()


def test_a_full_queue_drops_and_counts_what_comes():
    exporter = StoppedExporter()
    with queue_of(exporter, most=3) as (_, tracer):
        tracer.start_span("under way").end()
        assert exporter.begun.wait(hung())
        before = counted("dropped")
        for _ in range(10):
            tracer.start_span("waiting").end()
        assert counted("dropped") == before + 7
        exporter.go.set()
    assert exporter.taken == 4


def test_an_exporter_that_raises_does_not_end_the_thread():
    class Raising(StoppedExporter):
        def export(self, spans):
            if not self.begun.is_set():
                self.begun.set()
                raise RuntimeError("unforeseen")
            return super().export(spans)

    exporter = Raising()
    exporter.go.set()
    with queue_of(exporter, most=10) as (_, tracer):
        tracer.start_span("first").end()
        assert exporter.begun.wait(hung())
        tracer.start_span("second").end()
    assert exporter.taken == 1


def test_the_query_of_a_call_is_left_out():
    class Keeping(StoppedExporter):
        def export(self, spans):
            self.kept = [dict(span.attributes) for span in spans]
            return SpanExportResult.SUCCESS

    exporter = Keeping()
    with queue_of(exporter, most=10) as (_, tracer):
        tracer.start_span("GET", attributes={"url.path": "/v1/models", "url.query": "token=secret"}).end()
    assert exporter.kept == [{"url.path": "/v1/models", "url.query": "REDACTED"}]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://otel:4318", "http://otel:4318/v1/traces"),
        ("https://otel/", "https://otel/v1/traces"),
        ("http://otel:4318/tenant/spans", "http://otel:4318/tenant/spans"),
    ],
)
def test_an_endpoint_is_the_usual_path_unless_it_has_one(url, endpoint):
    assert endpoint_at(url) == endpoint


@pytest.mark.parametrize("url", ["", "otel:4318", "grpc://otel:4317", "http://", "http://o/?a=b", "http://a b"])
def test_what_is_no_endpoint_is_rejected_with_an_example(url):
    with pytest.raises(Invalid, match=r"--traces.*write it like http://otel-collector:4318"):
        endpoint_at(url)


def test_credentials_in_an_address_are_not_repeated():
    with pytest.raises(Invalid) as error:
        endpoint_at("http://me:secret@otel:4318")
    assert "secret" not in str(error.value) and "OTEL_EXPORTER_OTLP_HEADERS" in str(error.value)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    for name in ("k8s_manager.traces.otlp_spans", "k8s_manager.traces.span_queue"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingAbsent, match=r"pip install 'tidegate\[tracing\]'"):
        recorder_at("http://otel:4318", "tidegate", "one")


@pytest.mark.parametrize("words", [("serve",), ("collect", "--pods")], ids=" ".join)
def test_a_process_without_the_extra_ends_with_one_sentence(words):
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None; "
        "from k8s_manager.cli.main import main; sys.argv = ['tidegate', *sys.argv[1:]]; main()"
    )
    command = [sys.executable, "-c", code, *words, "--listen", "127.0.0.1:0", "--traces", "http://otel:4318"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=hung())
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "pip install 'tidegate[tracing]'" in ended.stderr


def test_a_manager_without_traces_does_not_load_what_sends_them():
    code = (
        "import sys, k8s_manager.manager, k8s_manager.collector.process; "
        "print([n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=hung())
    assert ended.stdout.strip() == "[]"


async def test_spans_that_are_off_are_nothing():
    async with recording(None, "tidegate", "one") as spans:
        assert spans is NO_SPANS and not spans.is_on and spans.headers() == {}
        with spans.span("one"), spans.span("another"):
            spans.note({"a": 1})


def test_a_pass_names_what_has_changed_since_the_last():
    changes = DocumentChanges()
    assert changes.since_last([("Model a/b", 1), ("Model a/c", 1)]) == []
    assert changes.since_last([("Model a/b", 2), ("Model a/c", 1), ("Tenant a", 1)]) == ["Model a/b@2", "Tenant a@1"]
    assert changes.since_last([("Model a/b", 2), ("Tenant a", 1)]) == ["Model a/c"]
    assert len(changes.since_last((f"Model a/{number}", 1) for number in range(100))) == 32
