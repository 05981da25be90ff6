"""What a limit would do to a traffic trace."""

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer


class OverAdmission(ApiAnswer):
    """What was admitted beyond the limit because buckets were refilled, and the bound of it."""

    by_refills: int
    percent: float
    at_most: int


class SimulatedChanges(ApiAnswer):
    """How often the limit should have changed, and did."""

    wanted: int
    enforced: int
    overtaken: int


class ConvergenceTimes(ApiAnswer):
    """Seconds until a changed limit was enforced; null where none changed."""

    median: float | None
    longest: float | None


class ReplicaRange(ApiAnswer):
    """How many replicas were warm."""

    least: int
    most: int
    at_end: int


class SimulatedMoment(ApiAnswer):
    """One moment of a simulation, in requests per second; warm replicas, and those asked for."""

    time: float
    offered: float
    admitted: float
    limit: float
    capacity: float
    replicas: float
    asked: float


class SimulationReport(ApiAnswer):
    """What a limit would have done to a traffic trace."""

    offered: int
    admitted: int
    refused: int
    closed: int = Field(description="Of the refused ones, those while the model took no requests.")
    over_admission: OverAdmission
    rewrites: int
    writes: int
    changes: SimulatedChanges
    time_to_converge: ConvergenceTimes
    limit_at_end: float
    replicas: ReplicaRange
    series: list[SimulatedMoment]
