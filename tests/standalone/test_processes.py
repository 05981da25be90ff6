import os
from collections import Counter

from tests.support.envoy import running_envoy


async def test_envoys_start_beside_others_that_are_being_served(tmp_path):
    """gRPC's fork handlers crashed every third child that was started while an Envoy had its stream."""
    started = Counter()
    (tmp_path / "first").mkdir()
    async with running_envoy(tmp_path / "first"):
        for number in range(6):
            place = tmp_path / str(number)
            place.mkdir()
            async with running_envoy(place, number=1):
                started["envoys"] += 1
    assert started["envoys"] == 6
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0"
