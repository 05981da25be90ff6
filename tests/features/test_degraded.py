"""A manager in a cluster where something is missing: it starts, says what, and goes on by itself when it is there."""

import itertools
import time

from istio_templates.facts import ObjectKey
from istio_templates.names import SLOTS
from istio_templates.schema import istio_crds
from k8s_manager.runtime.effects.lane import BACKOFF
from tests.features.conftest import is_programmed
from tests.support.documents import gateway, model, tenant
from tests.support.fleet import running_fleet
from tests.support.waiting import until


def most_attempts(seconds: float) -> int:
    """Return how often a failing write is tried at most in so many seconds: the next one is due, and then pauses grow
    from the shortest that chance makes of the first."""
    pauses = itertools.accumulate(BACKOFF.pause(number, chance=lambda: 0.0) for number in itertools.count(1))
    return 2 + sum(1 for _ in itertools.takewhile(lambda spent: spent < seconds, pauses))


async def test_without_istio_it_starts_says_so_and_recovers():
    async with running_fleet(istio=False) as fleet, fleet.manager() as manager, fleet.rest(manager) as rest:
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
        for path, document in (("gateways/shared", gateway()), ("tenants/search", tenant())):
            status, _ = await rest.call("PUT", f"/v1/{path}", {"spec": document["spec"]})
            assert status == 201

        async def told():
            condition = await fleet.condition("InferenceGateway", "shared", "Programmed")
            return condition.get("reason") == "KindAbsent" and "install Istio 1.30 or newer" in condition["message"]

        await until(told, what="the absent kind being told")
        before, began = fleet.api.counts.copy(), time.monotonic()
        await fleet.settled()
        calls = fleet.api.counts - before
        attempts = most_attempts(time.monotonic() - began)
        slots, gateways = calls["PATCH", "envoyfilters", 404], calls["PATCH", "gateways", 404]
        assert slots <= SLOTS * attempts and gateways <= attempts
        assert calls.total() - slots - gateways < 200
        for crd in istio_crds():
            await fleet.apply(crd)
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model())
        await until(lambda: is_programmed(fleet, "ranker", "search"), "the model being programmed")


async def test_a_gateway_in_a_namespace_that_is_not_there_is_told_what_to_run_and_recovers(fleet):
    async with fleet.manager():
        await fleet.apply(gateway("lost", "lost-gw"))

        async def told():
            condition = await fleet.condition("InferenceGateway", "lost", "Programmed")
            return condition.get("reason") == "NamespaceAbsent" and "create namespace lost-gw" in condition["message"]

        await until(told, what="the absent namespace being told")
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lost-gw"}})

        async def programmed():
            return (await fleet.condition("InferenceGateway", "lost", "Programmed")).get("status") == "True"

        await until(programmed, "the gateway being programmed")
        ready = await fleet.condition("InferenceGateway", "lost", "Ready")
        assert ready["reason"] == "NoGatewayPod"
        await fleet.client.delete(ObjectKey("InferenceGateway", "", "lost"))


async def test_a_gateway_pod_with_a_proxy_that_is_too_old_is_named(fleet):
    async with fleet.manager():
        await fleet.apply(gateway())
        proxy = {"name": "istio-proxy", "image": "docker.example.com/istio/proxyv2:1.29.4"}
        metadata = {"name": "old", "namespace": "inference-gw", "labels": {"istio": "shared"}}
        await fleet.client.create({"kind": "Pod", "metadata": metadata, "spec": {"containers": [proxy]}})

        async def told():
            ready = await fleet.condition("InferenceGateway", "shared", "Ready")
            return ready.get("reason") == "ProxyTooOld" and "old (1.29.4)" in ready["message"]

        await until(told, what="the old proxy being told")
