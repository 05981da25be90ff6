"""Rules for the Jobs of a rollout's checks: their pods may do what the tenant's other pods may, and Kubernetes has to
take them. Pure."""

from collections.abc import Iterator

from istio_templates.documents.rollouts.external_check import CheckJob
from istio_templates.documents.rollouts.rollout import RolloutPolicy
from istio_templates.documents.tenant import PodRules
from istio_templates.text.json_values import path_of
from istio_templates.workloads.check_job import check_pod
from k8s_manager.admission.pod_template import pod_security
from k8s_manager.admission.pod_template.template import check_template
from k8s_manager.admission.pod_template.violation import Place
from k8s_manager.admission.rules.rejection import Rejection, invalid

_CONTAINER = ("spec", "containers", 0)


def check_jobs(rollout: RolloutPolicy, rules: PodRules) -> Iterator[Rejection]:
    """Yield what is wrong with the Jobs of a rollout."""
    for number, check in enumerate(rollout.checks):
        if check.job is not None:
            yield from _job(f"spec.rollout.checks[{number}].job", check.job, rules)


def _job(path: str, job: CheckJob, rules: PodRules) -> Iterator[Rejection]:
    pod = check_pod(job, {}, next(iter(rules.node_pools or ()), None))
    for where, message in pod_security.violations(pod, rules):
        yield invalid(f"{path}.{where.removeprefix('spec.')}", message)
    for place, message in check_template(pod):
        yield invalid(f"{path}.{path_of(list(_origin(place)))}", message)


def _origin(place: Place) -> Place:
    """Return where in the Job of a document something stands that its pod has at a place."""
    return place[3:] if place[:3] == _CONTAINER else place[1:] or place
