"""The checks of all releases that other systems decide, behind one door for the release loop."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.release.decision.observation import ExternalReading
from k8s_manager.release.decision.state import ReleaseState
from k8s_manager.release.external.check_step import check_steps
from k8s_manager.release.external.job_round import JobRound
from k8s_manager.release.external.webhook_call import WebhookCaller, WebhookTransport
from k8s_manager.release.external.webhook_round import WebhookRound
from k8s_manager.release.release_target import ModelPlace, ReleaseTarget
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.settings import Settings

Looked = Sequence[tuple[ReleaseTarget, ReleaseState | None]]
"""Models with a rollout, each with the state of its release."""


class ExternalChecks:
    """Asks webhooks and Jobs."""

    def __init__(self, webhooks: WebhookRound, jobs: JobRound) -> None:
        self._webhooks, self._jobs = webhooks, jobs

    async def read(self, looked: Looked) -> Mapping[ModelPlace, Mapping[str, ExternalReading]]:
        """Return what has been said of each release's step, by the names of checks."""
        steps = check_steps(looked)
        answered = self._webhooks.readings(steps)
        ended = await self._jobs.readings(steps, _with_jobs(target for target, _ in looked))
        return {step.place: {**said, **found} for step, said, found in zip(steps, answered, ended, strict=True)}

    async def tidy(self, looked: Looked) -> bool:
        """Delete what no release needs any more; tell whether something is left to be deleted."""
        return await self._jobs.tidy(check_steps(looked))

    async def close(self) -> None:
        """End what is under way, as the loop ends."""
        self._jobs.forget()
        await self._webhooks.close()


def external_checks(
    leader: FencedClient,
    store: Store,
    webhooks: WebhookTransport | None,
    clock: Clock,
    settings: Settings,
    events: Events,
    wake: asyncio.Event,
) -> ExternalChecks:
    """Return what asks others, as the settings say; `webhooks` instead of what calls them, where it is given."""
    transport = webhooks or WebhookCaller(settings.webhook_ca_file)
    asked = WebhookRound(transport, settings.webhook_hosts, settings.webhook_key_file, clock, wake)
    return ExternalChecks(asked, JobRound(leader, store, clock, events))


def _with_jobs(targets: Iterable[ReleaseTarget]) -> set[str]:
    """Return the namespaces in which a rollout has Jobs."""
    return {target.place.namespace for target in targets if any(check.job for check in target.checks)}
