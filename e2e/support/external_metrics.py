"""Managers that serve external metrics, as the page on them says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.support.install import settled
from e2e.support.site import SYSTEM, bounded, kubectl
from k8s_manager.autoscaling.api_service import API_SERVICE

FLAG = "--external-metrics-listen=0.0.0.0:8444"


@contextmanager
def with_external_metrics() -> Iterator[None]:
    """Have the managers serve external metrics; take them and their APIService away afterwards."""
    found = json.loads(kubectl("-n", SYSTEM, "get", "deployment/tidegate", "-o", "json"))
    before = found["spec"]["template"]["spec"]["containers"][0]["args"]
    _set_args([*before, FLAG])
    yield
    _set_args(before)
    kubectl("delete", "apiservice", API_SERVICE.name)


def _set_args(args: list[str]) -> None:
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": args}]
    kubectl("-n", SYSTEM, "patch", "deployment/tidegate", "--type=json", "-p", json.dumps(patch))
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/tidegate", bounded())
    settled()
