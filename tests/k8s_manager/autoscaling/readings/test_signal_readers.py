"""All sources together: every signal that is asked for is read or says why not, whatever is away."""

import pytest

from istio_templates.documents import parse
from k8s_manager.autoscaling.readings.signal_readers import SignalReaders
from k8s_manager.autoscaling.scale_target import ScaleTarget, scale_targets
from k8s_manager.autoscaling.signal_source import SignalSource
from k8s_manager.offline.offline_world import planned, world_of
from k8s_manager.statistics.usage.usage_reader import UsageReader
from k8s_manager.statistics.usage.usage_source import UsageReading
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, target
from tests.support.documents import gateway, model, tenant

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


def scaled(**gateway_spec: object) -> ScaleTarget:
    """Return the version of a document with `autoscale`, as it stands in a world of its own."""
    workload = {"image": "example.com/ranker:1"}
    version = {"name": "v1", "workload": workload, "autoscale": {"max": 9, "signals": EVERYTHING}}
    world = world_of(map(parse, (gateway(**gateway_spec), tenant(), model(versions=[version]))))
    (found,) = scale_targets(world, planned(world)).values()
    return found


@pytest.mark.parametrize(("access_log", "silent"), [({}, ("shared",)), ({"accessLog": {"mode": "json"}}, ())])
async def test_gateways_that_log_nothing_are_known_from_their_documents(access_log: dict, silent: tuple[str, ...]):
    version = scaled(**access_log)
    assert (version.silent, version.per_replica, len(version.document.signals)) == (silent, 20, len(EVERYTHING))
    readers = SignalReaders(None, UsageReader(AwaySource(), CLOCK), lambda _: [], None, CLOCK)
    said = (await readers.read([version])).missing[version.key]
    assert said["demand"].startswith("gateway shared logs no requests" if silent else "requests are not counted here")
