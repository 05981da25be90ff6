"""A gateway where istioctl's default profile runs its pods."""

from istio_templates.facts import ObjectKey
from k8s_manager.kube.resources import OWNED
from tests.features.conftest import is_programmed
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until

ISTIO = "istio-system"
THEIRS = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ISTIO, "labels": {"istio": "theirs"}}}


async def test_a_gateway_in_istio_system_limits_and_goes_and_the_namespace_stays_as_it_was(fleet):
    await fleet.apply(THEIRS)
    before = await fleet.get("Namespace", ISTIO)
    await fleet.pod(ISTIO, {"istio": "shared"})
    async with fleet.manager():
        await fleet.apply(gateway(namespace=ISTIO), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model())
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model being programmed")
        kinds = {name.split()[0] for name in await fleet.owned() if f" {ISTIO}/" in name}
        assert kinds == {"Gateway", "VirtualService", "EnvoyFilter"}
        assert await fleet.get("Namespace", ISTIO) == before
        for key in (
            ObjectKey("Model", "search", "ranker"),
            ObjectKey("Tenant", "", "search"),
            ObjectKey("InferenceGateway", "", "shared"),
        ):
            await fleet.client.delete(key)

        async def is_empty() -> bool:
            return not await fleet.owned()

        await until(is_empty, what="everything of ours being gone")
    assert await fleet.get("Namespace", ISTIO) == before
    assert "Namespace" in OWNED


async def test_a_managed_gateway_in_istio_system_writes_nothing_there(fleet):
    await fleet.apply(THEIRS)
    async with fleet.manager():
        await fleet.apply(gateway(namespace=ISTIO, managed={"replicas": 1}))

        async def is_rejected() -> bool:
            condition = await fleet.condition("InferenceGateway", "shared", "Accepted")
            return condition.get("status") == "False" and "leave spec.managed out" in condition["message"]

        await until(is_rejected, what="the gateway being rejected")
        await fleet.settled()
        assert await fleet.owned() == set()
