"""Queues and other figures by a query to Prometheus: each query once, few at a time, all within some seconds.

The queries are those of tenants: a slow one must not hold back those of others, so that a namespace has a few of the
turns at most.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from istio_templates.documents.autoscale_signal import SignalKind
from istio_templates.errors import TidegateError
from k8s_manager.autoscaling.readings.query_figures import QueryFigure, figure_in
from k8s_manager.autoscaling.readings.signal_sheet import SignalSheet, signals_of
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import Clock
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer, PrometheusUnreachable

KINDS: tuple[SignalKind, ...] = ("queue", "prometheus")
AT_ONCE, AT_ONCE_OF_NAMESPACE = 16, 4
PATIENCE = 10.0
"""Seconds in which all queries are answered, or those that are not are missing."""
LOOKBACK = 90
"""Seconds that a sample may be old which a query looks at: three scrapes of 30 s."""
MOST_BYTES = 256 * 1024
NO_PROMETHEUS = "there is no Prometheus to ask; start the manager with --prometheus URL"
Asked = tuple[str, str]
"""Namespace and query."""


class QuerySignals:
    """Asks a Prometheus what documents name."""

    def __init__(self, server: PrometheusServer | None, clock: Clock) -> None:
        self._server, self._clock = server, clock

    async def read(self, versions: Sequence[ScaleTarget]) -> SignalReadings:
        """Return the signals that come from queries."""
        asked = [(version, signal, (version.key.namespace, signal.prometheus or ""))
                 for version, signal in signals_of(versions, KINDS)]  # fmt: skip
        answers = await QueryRound(self._server, self._clock).answers({question for *_, question in asked})
        sheet = SignalSheet(self._clock)
        for version, signal, question in asked:
            found = answers[question]
            if isinstance(found, str):
                sheet.put(version, signal, found)
            else:
                sheet.put(version, signal, found.value, found.at)
        return sheet.readings()


class QueryRound:
    """One round of questions; where nothing takes connections, those that wait are not asked."""

    def __init__(self, server: PrometheusServer | None, clock: Clock) -> None:
        self._server, self._clock = server, clock
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._turn_of = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(AT_ONCE_OF_NAMESPACE))
        self._away: str | None = None

    async def answers(self, asked: Collection[Asked]) -> dict[Asked, QueryFigure | str]:
        """Return the answer to each question."""
        if not asked or self._server is None:
            return dict.fromkeys(asked, NO_PROMETHEUS)
        tasks = {question: asyncio.create_task(self._ask(self._server, *question)) for question in asked}
        try:
            await asyncio.wait(tasks.values(), timeout=PATIENCE)
        finally:
            late = [task for task in tasks.values() if task.cancel()]
            await asyncio.gather(*late, return_exceptions=True)
        said = f"Prometheus did not answer within {PATIENCE:g} s; make the query cheaper, or look at Prometheus"
        return {question: said if task.cancelled() else task.result() for question, task in tasks.items()}

    async def _ask(self, server: PrometheusServer, namespace: str, query: str) -> QueryFigure | str:
        async with self._turn_of[namespace], self._turn:
            if self._away is not None:
                return self._away
            try:
                samples = await server.instant(query, LOOKBACK, MOST_BYTES)
            except PrometheusUnreachable as error:
                self._away = str(error)
                return self._away
            except TidegateError as error:
                return str(error)
            return figure_in(samples, self._clock.utc().timestamp())
