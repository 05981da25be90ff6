"""One measurement of a model at a time: each drives a replica to its limits."""

import asyncio
import math

import pytest

from istio_templates.facts import ObjectKey
from tests.support.bounds import hung
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until

PATH = "/v1/tenants/search/models/ranker/measurement"
MINE, THEIRS = "a" * 16, "b" * 16


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as found:
        await fleet.apply(gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model())
        await until(lambda: _known(found), what="the model being known")
        yield found


async def _known(rest):
    return (await rest.call("GET", PATH.removesuffix("/measurement")))[0] == 200


async def reserve(rest, holder, seconds):
    return (await rest.call("PUT", PATH, {"holder": holder, "seconds": seconds}))[0]


async def test_a_second_measurement_waits_until_the_first_ends_or_dies(rest):
    assert await reserve(rest, MINE, 60) == 200
    assert await reserve(rest, MINE, 60) == 200
    status, answer = await rest.call("PUT", PATH, {"holder": THEIRS, "seconds": 30})
    assert (status, "another measurement runs until" in answer["problems"][0]["message"]) == (409, True)
    assert await reserve(rest, MINE, 0) == 200
    assert await reserve(rest, THEIRS, min(60, math.ceil(hung() / 20))) == 200

    async def free():
        return await reserve(rest, MINE, 30) == 200

    assert not await free()
    await until(free, "a measurement that was not renewed being over")


async def test_of_many_that_begin_at_once_one_does(rest):
    answers = await asyncio.gather(*(reserve(rest, f"{number:08}", 60) for number in range(12)))
    assert sorted(answers) == [200] + [409] * 11


async def test_a_lease_that_nobody_can_read_is_over(fleet, rest):
    assert await reserve(rest, THEIRS, 60) == 200
    key = ObjectKey("Lease", "tidegate-system", "measure.search.ranker")
    await fleet.client.merge(key, {"spec": {"renewTime": None}})
    assert await reserve(rest, MINE, 60) == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"holder": "short", "seconds": 9}, "holder"),
        ({"holder": "with a space", "seconds": 9}, "holder"),
        ({"holder": 12345678, "seconds": 9}, "holder"),
        ({"holder": MINE}, "seconds"),
        ({"holder": MINE, "seconds": 61}, "seconds"),
        ({"holder": MINE, "seconds": True}, "seconds"),
    ],
)
async def test_what_reserves_nothing_is_refused(rest, body, field):
    status, answer = await rest.call("PUT", PATH, body)
    assert (status, answer["problems"][0]["field"]) == (422, field)


async def test_a_model_that_is_not_there_is_not_reserved(rest):
    path = PATH.replace("ranker", "other")
    assert (await rest.call("PUT", path, {"holder": MINE, "seconds": 9}))[0] == 404
