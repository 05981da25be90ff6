from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until


async def make_search(fleet) -> None:
    """Make the gateway, the tenant `search` and its model `ranker`, and wait until all is written."""
    await fleet.apply(gateway(), tenant())
    await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
    await fleet.apply(model())
    await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model being programmed")


async def is_programmed(fleet, name: str, namespace: str) -> bool:
    condition = await fleet.condition("Model", name, "Programmed", namespace)
    return condition.get("status") == "True"
