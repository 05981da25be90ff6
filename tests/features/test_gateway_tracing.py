"""A gateway's Telemetry comes, changes and goes with its document, and costs a gateway without one nothing."""

from istio_templates.facts import ObjectKey
from istio_templates.schema import istio_crds
from tests.support.documents import gateway
from tests.support.fleet import running_fleet
from tests.support.waiting import until

NAME, PLACE = "tidegate-shared-tracing", "inference-gw"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}}


async def is_programmed(fleet) -> bool:
    return (await fleet.condition("InferenceGateway", "shared", "Programmed")).get("status") == "True"


async def tracing_of(fleet):
    found = await fleet.get("Telemetry", NAME, PLACE)
    return next(iter(found["spec"].get("tracing", [])), None) if found else None


async def test_it_comes_changes_is_set_back_and_goes(fleet):
    async with fleet.manager():
        await fleet.apply(NAMESPACE, gateway())
        await until(lambda: is_programmed(fleet), "the gateway being programmed")
        assert await tracing_of(fleet) is None and "telemetries" not in fleet.writes()
        await fleet.apply(gateway(tracing={"sampling": 5}))
        first = await until(lambda: tracing_of(fleet), what="the Telemetry")
        assert first == {"providers": [{"name": "otel-tracing"}], "randomSamplingPercentage": 5}
        await fleet.apply(gateway(tracing={"sampling": 0.5, "provider": "tempo"}))

        async def changed():
            return await tracing_of(fleet) == {"providers": [{"name": "tempo"}], "randomSamplingPercentage": 0.5}

        await until(changed, "the change")
        before = await fleet.settled()
        await fleet.client.merge(ObjectKey("Telemetry", PLACE, NAME), {"spec": {"accessLogging": [{}], "tracing": []}})
        await until(changed, "another writer's edit being set back")
        await until(lambda: no_more_than_tracing(fleet), "what the other writer added being removed")
        assert (await fleet.settled())["telemetries"] > before["telemetries"]
        await fleet.apply(gateway())

        await until(lambda: is_gone(fleet), "the Telemetry being gone")
        await until(lambda: is_programmed(fleet), "the gateway being programmed still")


async def is_gone(fleet) -> bool:
    return await fleet.get("Telemetry", NAME, PLACE) is None


async def no_more_than_tracing(fleet) -> bool:
    found = await fleet.get("Telemetry", NAME, PLACE)
    return found is not None and found["spec"].keys() == {"selector", "tracing"}


async def test_it_goes_with_its_gateway_and_another_owners_stays(fleet):
    async with fleet.manager():
        theirs = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry"}
        theirs |= {"metadata": {"name": "mesh", "namespace": PLACE}, "spec": {"tracing": []}}
        await fleet.apply(NAMESPACE, theirs, gateway(tracing={"sampling": 5}))
        await until(lambda: tracing_of(fleet), what="the Telemetry")
        await fleet.client.delete(ObjectKey("InferenceGateway", "", "shared"))

        await until(lambda: is_gone(fleet), "the Telemetry being gone")
        assert await fleet.get("Telemetry", "mesh", PLACE)


async def test_a_cluster_without_the_kind_has_everything_else_is_told_and_recovers():
    async with running_fleet(istio=False) as fleet:
        telemetries = [crd for crd in istio_crds() if crd["spec"]["names"]["kind"] == "Telemetry"]
        await fleet.apply(*(crd for crd in istio_crds() if crd not in telemetries), NAMESPACE)
        async with fleet.manager() as manager:
            await fleet.apply(gateway("quiet", "quiet-gw"), {**NAMESPACE, "metadata": {"name": "quiet-gw"}}, gateway())
            await until(lambda: is_programmed(fleet), "the gateway being programmed without the kind")
            assert manager.backend.documents.unready() is None
            await fleet.apply(gateway(tracing={"sampling": 5}))

            async def told():
                condition = await fleet.condition("InferenceGateway", "shared", "Programmed")
                says = "the cluster has no kind Telemetry; install Istio 1.30 or newer" in condition.get("message", "")
                return condition.get("reason") == "KindAbsent" and says

            await until(told, "the absent kind being told")
            assert await fleet.get("EnvoyFilter", "tidegate-shared-slots", PLACE)
            await fleet.apply(*telemetries)
            await until(lambda: tracing_of(fleet), what="the Telemetry")
            await until(lambda: is_programmed(fleet), "the gateway being programmed")
