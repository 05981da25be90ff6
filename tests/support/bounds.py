"""How long tests and scenarios wait before they take a program for hung; nothing else decides that.

A bound is no promise of speed: a test that passes never comes near it, and one that fails says so a little later. It is
therefore generous, and grows with the load of the machine, because a program that gets a tenth of a core is not hung.
"""

import os

PATIENCE = "TIDEGATE_TEST_PATIENCE"
"""The environment variable with a factor for every bound, for machines and clusters that are slower than most."""
HUNG_SECONDS = 120.0
MOST_LOAD = 8.0
"""The load average of a core up to which bounds grow: even a hung program is to be found in minutes."""


def hung() -> float:
    """Return after how many seconds a program is taken for hung, on the machine as busy as it is now."""
    return HUNG_SECONDS * slowness()


def slowness() -> float:
    """Return how many times as long as alone a program may take, on the machine as busy as it is now."""
    return scaled(float(os.environ.get(PATIENCE, "1")), os.getloadavg()[0], len(os.sched_getaffinity(0)))


def scaled(patience: float, load: float, cores: int) -> float:
    """Return the slowness for a factor and a load average of so many cores."""
    return patience * min(MOST_LOAD, max(1.0, load / cores))
