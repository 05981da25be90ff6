"""Job: the check of a release that runs as a pod in the model's namespace, once in each step."""

from collections.abc import Mapping
from math import ceil

from istio_templates import names
from istio_templates.documents.fields import seconds
from istio_templates.documents.rollouts.external_check import CheckJob
from istio_templates.facts import Manifest, ObjectKey

CONTAINER = "check"
CHECK = "tidegate.dev/release-check"
USER = 65532
KEPT_SECONDS = 3600
"""For how long Kubernetes keeps a Job that has ended, if no manager is there to delete it."""
_NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""A sidecar that goes on would keep the pod from ending."""


def check_job(key: ObjectKey, owner: Manifest, labels: Mapping[str, str], check: str, template: Manifest,
              timeout: str) -> Manifest:  # fmt: skip
    """Return the Job of a check. `owner` is the Model, with which it goes; `template` its pod."""
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": "Model", "name": metadata["name"], "uid": metadata["uid"]}
    obj = names.manifest("batch/v1", "Job", key.name, key.namespace, {**labels, CHECK: check})
    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {
        **obj,
        "metadata": {**obj["metadata"], "ownerReferences": [reference]},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": ceil(seconds(timeout)),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": {"rules": [evicted]},
            "template": {**template, "spec": {**template["spec"], "restartPolicy": "Never"}},
        },
    }


def check_pod(job: CheckJob, variables: Mapping[str, str], node_pool: Mapping[str, str] | None) -> Manifest:
    """Return the pod of a Job, but for what only pods of Jobs have. It carries none of the model's labels: the model's
    Service would send it requests. `variables` say what is checked; the document's own win."""
    own = {str(item.get("name")) for item in job.env}
    given = [{"name": name, "value": value} for name, value in variables.items() if name not in own]
    container = {
        "name": CONTAINER,
        "image": job.image,
        "command": list(job.command),
        "args": list(job.args),
        "env": [*given, *job.env],
        "resources": job.resources,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: Manifest = {
        "containers": [{name: value for name, value in container.items() if value}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": job.service_account_name is not None,
    }
    if job.service_account_name is not None:
        spec["serviceAccountName"] = job.service_account_name
    if node_pool:
        spec["nodeSelector"] = dict(node_pool)
    return {"metadata": {"labels": {names.MANAGED_BY: names.MANAGER, **_NO_SIDECAR}}, "spec": spec}
