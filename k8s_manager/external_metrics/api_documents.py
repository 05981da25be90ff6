"""What the API says of itself, and its answers, in Kubernetes' own form. Pure."""

from collections.abc import Sequence
from http import HTTPStatus

from istio_templates.facts import Manifest
from istio_templates.workloads.horizontal_pod_autoscaler import METRIC
from k8s_manager.autoscaling.api_service import GROUP, GROUP_VERSION, VERSION

_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable",
}  # fmt: skip
_PREFERRED = {"groupVersion": GROUP_VERSION, "version": VERSION}
_GROUP: Manifest = {"name": GROUP, "versions": [_PREFERRED], "preferredVersion": _PREFERRED}


def group_list() -> Manifest:
    """Return the groups that are served, for `/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP]}


def group() -> Manifest:
    """Return the one group."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_GROUP}


def resource_list() -> Manifest:
    """Return the metrics of the one version; the aggregator asks for it to see whether the API is there."""
    metric = {"name": METRIC, "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList"}
    resources = [{**metric, "verbs": ["get"]}]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": resources}


def value_list(items: Sequence[Manifest]) -> Manifest:
    """Return values of a metric."""
    return {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [*items]}


def failure(code: int, message: str) -> Manifest:
    """Return why a request has no answer, as a Status."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, HTTPStatus(code).phrase),
        "code": code,
    }
