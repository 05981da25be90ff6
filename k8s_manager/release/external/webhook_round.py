"""Rounds of webhooks: which are asked now, which have answered, and which are asked again when.

Calls run beside the release loop, so that a receiver that hangs holds back no release; the loop looks again when one
has ended. A receiver that says `pending` is asked again after a while, one that fails after growing pauses.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from istio_templates.errors import Stalled, TidegateError
from istio_templates.host_port import joined
from istio_templates.text.web_address import HostPattern, WebAddress, web_address
from k8s_manager.release.decision.observation import ExternalReading
from k8s_manager.release.external.check_step import CheckStep
from k8s_manager.release.external.webhook_call import WebhookTransport
from k8s_manager.release.external.webhook_message import answer_reading, message_body, signed_headers, signing_key
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.metrics import RELEASE_CHECKS

log = logging.getLogger(__name__)
EVERY = 15.0
"""Seconds after which a webhook that says `pending` is asked again."""
BACKOFF = Backoff(5.0, 60.0)
AT_ONCE, AT_ONCE_OF_NAMESPACE = 16, 2
"""Most calls under way, and most of one namespace: hanging receivers of a tenant hold back no other."""
NO_KEY = "the manager has no key to sign with; start it with --webhook-key-file"


@dataclass(slots=True)
class _Question:
    """A webhook in a step: what it said last, when it is asked again (the clock's seconds), and the call under way."""

    reading: ExternalReading | None = None
    due: float = 0.0
    failures: int = 0
    task: asyncio.Task[None] | None = None


class WebhookRound:
    """Asks the webhooks of releases that are under way."""

    def __init__(
        self,
        transport: WebhookTransport,
        hosts: Sequence[HostPattern],
        key_file: Path | None,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._transport, self._hosts, self._key_file, self._clock, self._wake = transport, hosts, key_file, clock, wake
        self._questions: dict[str, _Question] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._turn_of = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(AT_ONCE_OF_NAMESPACE))

    def readings(self, steps: Sequence[CheckStep]) -> list[dict[str, ExternalReading]]:
        """Return what the webhooks of each step have said, and begin to ask those that are due."""
        wanted = {step.id(check) for step in steps for check in step.webhooks}
        for one in [one for one in self._questions if one not in wanted]:
            if (task := self._questions.pop(one).task) is not None:
                task.cancel()
        found = [{check: self._reading(step, check) for check in step.webhooks} for step in steps]
        return [{check: one for check, one in by_check.items() if one is not None} for by_check in found]

    async def close(self) -> None:
        """Cancel all calls, and wait until they have ended."""
        tasks = [one.task for one in self._questions.values() if one.task is not None]
        self._questions.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reading(self, step: CheckStep, check: str) -> ExternalReading | None:
        address = web_address(step.webhooks[check])
        if (refusal := host_refusal(address, self._hosts)) is not None:
            return ExternalReading(self._now(), "pending", sentence=refusal)
        question = self._questions.setdefault(step.id(check), _Question())
        is_open = question.reading is None or question.reading.outcome == "pending"
        if is_open and question.task is None and self._clock.now() >= question.due:
            question.task = asyncio.create_task(self._ask(step, check, address, question))
        return question.reading

    async def _ask(self, step: CheckStep, check: str, address: WebAddress, question: _Question) -> None:
        """Ask once; whatever comes of it is the reading, and the loop looks at it."""
        try:
            async with self._turn_of[step.place.namespace], self._turn:
                question.reading = await self._answer(step, check, address)
            question.failures, question.due = 0, self._clock.now() + EVERY
            RELEASE_CHECKS.labels("webhook", question.reading.outcome).inc()
        except TidegateError as error:
            self._fail(question, str(error))
        except Exception as error:  # one unforeseen answer must not end the question
            log.exception("webhook %s of %s/%s", check, *step.place)
            self._fail(question, f"{address.host}: {error!r}")
        finally:
            question.task = None
            self._wake.set()

    async def _answer(self, step: CheckStep, check: str, address: WebAddress) -> ExternalReading:
        key = await asyncio.to_thread(_key_in, self._key_file)
        body, message_id = message_body(step, check), step.id(check)
        headers = signed_headers(key, message_id, int(self._now()), body)
        return answer_reading(address.host, await self._transport.post(address, body, headers), self._now())

    def _fail(self, question: _Question, said: str) -> None:
        question.failures += 1
        pause = BACKOFF.pause(question.failures)
        question.due = self._clock.now() + pause
        again = f"{said}; it is asked again in {pause:.0f} s"
        question.reading = ExternalReading(self._now(), "pending", sentence=again)
        RELEASE_CHECKS.labels("webhook", "error").inc()

    def _now(self) -> float:
        return self._clock.utc().timestamp()


def host_refusal(address: WebAddress, hosts: Sequence[HostPattern]) -> str | None:
    """Return why the manager does not call an address; None where its host is one of those that are allowed."""
    if any(pattern.covers(address) for pattern in hosts):
        return None
    named = f"{address.scheme}://{joined(address.host, address.port)}"
    return f"{named} is not allowed, so it is not asked; an operator allows it with --webhook-hosts"


def _key_in(file: Path | None) -> bytes:
    """Return the key; its file is read for each message, as it is replaced while the manager runs."""
    if file is None:
        raise Stalled(NO_KEY)
    try:
        return signing_key(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Stalled(f"the file of --webhook-key-file cannot be read: {error}; give a right one") from error
