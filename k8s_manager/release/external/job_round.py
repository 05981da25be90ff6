"""Rounds of Jobs: made once for each step, read at each look, deleted as soon as their step needs them no more.

Their names follow from their steps, so that a leader that dies between making one and reading it leaves one that the
next finds. What is there is listed, and only in namespaces in which a release has Jobs, or had some.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from istio_templates import names
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.workloads.check_job import CHECK, check_job, check_pod
from k8s_manager.kube.errors import Absent, WriteConflict
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.resources import RESOURCES
from k8s_manager.kube.store import Store
from k8s_manager.release.decision.observation import ExternalReading
from k8s_manager.release.external.check_step import CheckStep
from k8s_manager.release.external.job_outcome import job_reading
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.metrics import RELEASE_CHECKS

PATIENCE = 3.0
"""Seconds in which Jobs are listed, made or deleted, or count as not read."""
AT_ONCE = 8
NO_JOBS = "this cluster has no Jobs, as a standalone has none; leave the check out, or try it elsewhere"
SELECTOR = f"{names.MANAGED_BY}={names.MANAGER}"
JobNames = dict[str, Manifest]
"""Jobs of a namespace by their names."""


class JobRound:
    """Makes, reads and deletes the Jobs of releases."""

    def __init__(self, client: FencedClient, store: Store, clock: Clock, events: Events) -> None:
        self._client, self._store, self._clock, self._events = client, store, clock, events
        self._found: dict[str, JobNames] = {}
        self._looked_into: set[str] = set()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def readings(
        self, steps: Sequence[CheckStep], namespaces: Collection[str]
    ) -> list[dict[str, ExternalReading]]:
        """Return what the Jobs of each step say; those that are missing are made. In `namespaces` there may be Jobs
        that a leader before has left, which are looked for once."""
        left = set(namespaces) - self._looked_into
        asked = sorted({*left, *self._found, *(step.place.namespace for step in steps if step.jobs)})
        listed = dict(zip(asked, await asyncio.gather(*map(self._list, asked)), strict=True))
        self._looked_into |= {namespace for namespace, jobs in listed.items() if not isinstance(jobs, str)}
        self._found = {
            namespace: self._found.get(namespace, {}) if isinstance(jobs, str) else jobs
            for namespace, jobs in listed.items()
        }
        return list(await asyncio.gather(*(self._step(step, listed) for step in steps)))

    async def tidy(self, steps: Sequence[CheckStep]) -> bool:
        """Delete the Jobs that no step needs any more; tell whether one is left that is to be deleted, or a namespace
        that could not be read."""
        wanted = {(step.place.namespace, step.job_name(check)) for step in steps for check in step.jobs}
        over = [(namespace, job) for namespace, jobs in self._found.items() for name, job in jobs.items()
                if (namespace, name) not in wanted]  # fmt: skip
        are_gone = await asyncio.gather(*(self._delete(namespace, job) for namespace, job in over))
        are_read = self._found.keys() <= self._looked_into
        self._found = {namespace: jobs for namespace, jobs in self._found.items() if jobs}
        return not (are_read and all(are_gone))

    def forget(self) -> None:
        """Forget what there is, as another manager leads from now on."""
        self._found, self._looked_into = {}, set()

    async def _list(self, namespace: str) -> JobNames | str:
        """Return the Jobs of checks in a namespace, or why they cannot be read."""
        try:
            async with self._places, asyncio.timeout(PATIENCE):
                found, _ = await self._client.list(RESOURCES["Job"], SELECTOR, namespace)
        except Absent:
            return NO_JOBS
        except TidegateError as error:
            return str(error)
        except TimeoutError:
            return f"Jobs of {namespace} are not read within {PATIENCE:g} s; they are read again"
        return {job["metadata"]["name"]: job for job in found if CHECK in (job["metadata"].get("labels") or {})}

    async def _step(self, step: CheckStep, listed: Mapping[str, JobNames | str]) -> dict[str, ExternalReading]:
        return {check: await self._reading(step, check, listed[step.place.namespace]) for check in step.jobs}

    async def _reading(self, step: CheckStep, check: str, jobs: JobNames | str) -> ExternalReading:
        if isinstance(jobs, str):
            return self._pending(jobs)
        job = jobs.get(step.job_name(check))
        if job is None:
            return await self._make(step, check)
        if "deletionTimestamp" in job["metadata"]:
            return self._pending(f"{job['metadata']['name']} is being deleted; it is made again")
        pods = self._store.inside("Pod", step.place.namespace)
        reading = job_reading(job, pods, self._clock.utc().timestamp())
        if reading.outcome != "pending":
            RELEASE_CHECKS.labels("job", reading.outcome).inc()
        return reading

    async def _make(self, step: CheckStep, check: str) -> ExternalReading:
        name = step.job_name(check)
        model = self._store.get(ObjectKey("Model", *step.place))
        if model is None:
            return self._pending(f"{name} is not made, since the Model is gone")
        try:
            async with self._places, asyncio.timeout(PATIENCE):
                made = await self._client.create(_manifest(step, check, model))
        except WriteConflict:
            said = f"a Job {name} is there that is not listed yet; if it stays so, delete it"
            return self._pending(said)
        except TidegateError as error:
            return self._pending(f"{name} is not made: {error}")
        except TimeoutError:
            return self._pending(f"{name} is not made within {PATIENCE:g} s; it is tried again")
        self._found.setdefault(step.place.namespace, {})[name] = made
        RELEASE_CHECKS.labels("job", "made").inc()
        place = f"{step.place.namespace}/{step.place.name}"
        self._events.publish("release", place, f"Job {name} is made for check {check}", kind="Model")
        return self._pending(f"{name} begins")

    async def _delete(self, namespace: str, job: Manifest) -> bool:
        """Delete a Job with its pod; tell whether it is gone, or on its way."""
        metadata = job["metadata"]
        if "deletionTimestamp" not in metadata:
            try:
                async with self._places, asyncio.timeout(PATIENCE):
                    await self._client.delete(ObjectKey("Job", namespace, metadata["name"]), metadata.get("uid"))
            except Absent:
                pass
            except (TidegateError, TimeoutError):
                return False
        self._found[namespace].pop(metadata["name"], None)
        return True

    def _pending(self, said: str) -> ExternalReading:
        return ExternalReading(self._clock.utc().timestamp(), "pending", sentence=said)


def _manifest(step: CheckStep, check: str, model: Manifest) -> Manifest:
    job = step.jobs[check]
    labels = {names.MANAGED_BY: names.MANAGER, names.TENANT: step.tenant, names.MODEL: step.place.name}
    key = ObjectKey("Job", step.place.namespace, step.job_name(check))
    return check_job(key, model, labels, check, check_pod(job, variables(step), step.node_pool), job.timeout)


def variables(step: CheckStep) -> dict[str, str]:
    """Return the environment by which a Job knows what it checks."""
    return {
        "TIDEGATE_TENANT": step.tenant,
        "TIDEGATE_MODEL": step.place.name,
        "TIDEGATE_NAMESPACE": step.place.namespace,
        "TIDEGATE_VERSION": step.version,
        "TIDEGATE_STABLE": step.stable,
        "TIDEGATE_STEP": str(step.step),
        "TIDEGATE_WEIGHT": str(step.weight),
    }
