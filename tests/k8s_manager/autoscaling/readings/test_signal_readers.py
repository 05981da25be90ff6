"""All sources together: every signal that is asked for is read or says why not, whatever is away."""

from k8s_manager.autoscaling.readings.signal_readers import SignalReaders
from k8s_manager.autoscaling.signal_source import SignalSource
from k8s_manager.statistics.usage.usage_reader import UsageReader
from k8s_manager.statistics.usage.usage_source import UsageReading
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, target

EVERYTHING = [
    {"name": "demand"},
    {"name": "concurrency", "target": 4},
    {"name": "cpu", "target": "70%"},
    {"name": "memory", "target": "90%", "guard": True},
    {"name": "gpu", "target": "80%"},
    {"name": "gpuMemory", "target": "90%", "guard": True},
    {"name": "latency", "target": "80ms", "weight": 1},
    {"name": "queue", "prometheus": "sum(waiting)", "target": 5},
    {"name": "tokens", "prometheus": "sum(tokens)", "target": 5, "guard": True},
]


class AwaySource:
    unmeasured = unseen_gpus = "start it"

    async def read(self, namespace: str) -> UsageReading:
        return UsageReading({}, (f"nothing measures {namespace}; start it",), False, False, is_away=True)


async def test_without_any_source_every_signal_says_what_to_do():
    readers: SignalSource = SignalReaders(None, UsageReader(AwaySource(), CLOCK), lambda _: [], None, CLOCK)
    versions = [target(*EVERYTHING), target({"name": "demand"}, model="other")]
    found = await readers.read(versions)
    assert not found.values
    assert {key: {*said} for key, said in found.missing.items()} == {
        version.key: {signal.name for signal in version.document.signals} for version in versions
    }
    sentences = [sentence for said in found.missing.values() for sentence in said.values()]
    assert all(";" in sentence for sentence in sentences), "what happened; what to do"


async def test_nothing_is_asked_for_nothing():
    readers = SignalReaders(None, UsageReader(AwaySource(), CLOCK), lambda _: [], None, CLOCK)
    found = await readers.read([])
    assert not found.values and not found.missing
