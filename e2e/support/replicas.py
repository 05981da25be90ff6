"""How many replicas a model's Deployment asks for, now and over time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from e2e.support.observation import repeated
from e2e.support.site import Site


async def replicas(site: Site, tenant: str, model: str = "ranker") -> int:
    """Return the number of replicas that the Deployment of a model with one version asks for."""
    (found,) = await site.all("Deployment", tenant, f"tidegate.dev/model={model}")
    return int(found["spec"]["replicas"])


@asynccontextmanager
async def history(site: Site, tenant: str, model: str = "ranker") -> AsyncIterator[list[int]]:
    """Note every number of replicas that the Deployment asks for, until left."""
    seen: list[int] = []

    async def look() -> None:
        count = await replicas(site, tenant, model)
        seen.extend([] if seen[-1:] == [count] else [count])

    async with repeated(look, pause=0.5):
        yield seen
