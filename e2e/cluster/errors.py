"""What can go wrong while a cluster is built, started or stopped.

ClusterError ── Missing (this machine lacks something: the message says what, and how to get it)
             └─ Failed  (a step did not work: the message names the step and the log to read)
"""


class ClusterError(Exception):
    """The cluster cannot be had."""


class Missing(ClusterError):
    """This machine lacks something that the cluster needs."""


class Failed(ClusterError):
    """A step did not work."""
