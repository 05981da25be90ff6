"""Whether a caller may read a metric: the API server decides, and its answer holds for a short time."""

import asyncio
from collections import OrderedDict

from istio_templates.errors import Waiting
from istio_templates.facts import Manifest
from istio_templates.workloads.horizontal_pod_autoscaler import METRIC
from k8s_manager.autoscaling.api_service import GROUP, VERSION
from k8s_manager.external_metrics.request_header import ProxiedCaller
from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.clock import Clock

ALLOWED_SECONDS, DENIED_SECONDS = 10.0, 10.0
MOST = 4_096
AT_ONCE, MOST_WAITING = 8, 512
"""Reviews under way, and those that wait for one."""
_Question = tuple[ProxiedCaller, str]


class AccessReviews:
    """Asks SubjectAccessReviews about reading the metric in a namespace, each once in a while."""

    def __init__(self, client: KubeClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._answers: OrderedDict[_Question, tuple[float, str | None]] = OrderedDict()

    async def denial(self, caller: ProxiedCaller, namespace: str) -> str | None:
        """Return why a caller may not read the metric in a namespace; None where it may.

        Raises `Waiting` where too many are asked about at once, and what the API server's client raises.
        """
        question = (caller, namespace)
        if not self._is_known(question):
            if self._waiting >= MOST_WAITING:
                raise Waiting("too many callers are under review; try again", 1)
            self._waiting += 1
            try:
                async with self._places:
                    if not self._is_known(question):  # no other call has asked meanwhile
                        self._keep(question, await self._asked(caller, namespace))
            finally:
                self._waiting -= 1
        return self._answers[question][1]

    def _is_known(self, question: _Question) -> bool:
        return question in self._answers and self._clock.now() < self._answers[question][0]

    def _keep(self, question: _Question, denied: str | None) -> None:
        seconds = ALLOWED_SECONDS if denied is None else DENIED_SECONDS
        self._answers[question] = (self._clock.now() + seconds, denied)
        self._answers.move_to_end(question)
        while len(self._answers) > MOST:
            self._answers.popitem(last=False)

    async def _asked(self, caller: ProxiedCaller, namespace: str) -> str | None:
        # A GET without a name is a list, as the API server itself has it: the HPA controller has that right.
        attributes = {"group": GROUP, "version": VERSION, "resource": METRIC, "namespace": namespace, "verb": "list"}
        spec: Manifest = {"user": caller.user, "groups": [*caller.groups], "resourceAttributes": attributes}
        if caller.uid:
            spec["uid"] = caller.uid
        if caller.extra:
            spec["extra"] = {key: [*values] for key, values in caller.extra}
        head = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}}
        status = (await self._client.create({**head, "spec": spec})).get("status") or {}
        if status.get("allowed") is True and not status.get("denied"):
            return None
        why = f": {status['reason']}" if isinstance(status.get("reason"), str) and status["reason"] else ""
        return f'{METRIC}.{GROUP} is forbidden: User "{caller.user}" cannot list it in namespace "{namespace}"{why}'
