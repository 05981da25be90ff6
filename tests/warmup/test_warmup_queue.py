import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.bounds import hung
from tests.warmup.test_gate import pod
from warmup.warmup_queue import Places, WarmupBounds, next_ones

pods = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), max_size=40)


def made(found):
    return [pod(f"p{i}", node=f"n{node}", namespace=space) for i, (node, space) in enumerate(found)]


@given(found=pods, overall=st.integers(1, 12), per_node=st.integers(1, 5), split=st.integers(0, 40))
def test_places_are_given_within_all_bounds_and_none_is_left_that_somebody_could_have(found, overall, per_node, split):
    everybody, bounds = made(found), WarmupBounds(overall, per_node)
    holding = next_ones([], everybody[:split], bounds)
    waiting = [one for one in everybody if one not in holding]
    chosen = next_ones(holding, waiting, bounds)
    after = holding + chosen
    nodes, spaces = Counter(one.node for one in after), Counter(one.namespace for one in after)
    assert len(after) <= overall
    assert all(count <= per_node for count in nodes.values())
    assert all(count <= bounds.per_namespace for count in spaces.values())
    for one in waiting:
        if one not in chosen:
            full = len(after) == overall or nodes[one.node] == per_node or spaces[one.namespace] == bounds.per_namespace
            assert full


def test_many_replicas_of_one_namespace_do_not_keep_another_waiting():
    many = [pod(f"p{i}", node=f"n{i}", namespace="a") for i in range(40)]
    other = pod("other", node="m", namespace="b")
    holding = next_ones([], many, WarmupBounds(32, 8))
    assert len(holding) == 16
    assert other in next_ones(holding, [*many[16:], other], WarmupBounds(32, 8))


async def test_a_place_is_held_until_its_block_ends_and_goes_on_to_the_next():
    places, order = Places(WarmupBounds(1, 1)), []

    async def hold(name, seconds):
        async with places.place(pod(name)):
            order.append(f"{name} begins")
            await asyncio.sleep(seconds)
            order.append(f"{name} ends")

    first = asyncio.create_task(hold("a", 0.05))
    await asyncio.sleep(0)
    gone = asyncio.create_task(hold("b", 1))
    last = asyncio.create_task(hold("c", 0))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.gather(first, last)
    assert order == ["a begins", "a ends", "c begins", "c ends"]


async def test_a_place_of_one_that_is_cancelled_is_free_again():
    places = Places(WarmupBounds(1, 1))

    async def hold():
        async with places.place(pod("a")):
            await asyncio.sleep(60)

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    async with asyncio.timeout(hung()), places.place(pod("b")):
        pass
