"""What the manager adds to pod templates, without a rollout of its own. Pure.

A field more in a pod template replaces every pod. So a Deployment that runs without such a field keeps running without
it, until another field of its pod template changes.
"""

from collections.abc import Iterator

from istio_templates import names
from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest
from istio_templates.workloads.gateway_workload import counts_versions, without_counts
from k8s_manager.drift.digest import digest_of, stamped
from k8s_manager.drift.field_policy import resolve

DEFAULTS = {"enableServiceLinks": False}
"""A Service named like the prefix of a server's own variables would set those: Service `model` sets `MODEL_PORT`."""
_TEMPLATE = "spec.template."


def with_pod_defaults(wanted: Manifest, live: Manifest | None, policy: Drift = "repair") -> Manifest:
    """Return a desired object with all that its pod template should have, unless what releases added alone would
    replace the live pods: then in the form that runs."""
    if wanted["kind"] != "Deployment":
        return wanted
    full, *former = pod_forms(wanted)
    if live is None or _adds_alike(full, live) or _is_restarted(live):
        return full
    digest = digest_of(live)
    running = next((form for form in (full, *former) if digest == digest_of(stamped(form))), None)
    if running is not None:
        return running
    nearest = next((form for form in former if _adds_alike(form, live)), None)
    if nearest is None:
        return full
    changed = resolve(policy, nearest, live, drifted=digest is None).set_back
    return full if any(path.startswith(_TEMPLATE) for path in changed) else nearest


def pod_forms(wanted: Manifest) -> Iterator[Manifest]:
    """Yield a rendered Deployment with all that releases added to its pods, then as those before them rendered it."""
    links = [{}] if DEFAULTS.keys() <= _pod_spec(wanted).keys() else [DEFAULTS, {}]
    annotations = _annotations(wanted)
    counts = [annotations, without_counts(annotations)] if counts_versions(annotations) else [annotations]
    for count in counts:
        for link in links:
            yield _with(wanted, link, count) if link or count is not annotations else wanted


def _is_restarted(live: Manifest) -> bool:
    """Tell whether `kubectl rollout restart` has come to a Deployment that the manager has not written since."""
    entries = live["metadata"].get("managedFields") or []
    restarted = max((str(entry.get("time")) for entry in entries if _holds_restart(entry)), default="")
    ours = (str(entry.get("time")) for entry in entries if entry.get("manager") == names.MANAGER)
    return restarted > max(ours, default="")


def _holds_restart(entry: Manifest) -> bool:
    annotations = _inside(entry, "fieldsV1", "f:spec", "f:template", "f:metadata", "f:annotations")
    return "f:kubectl.kubernetes.io/restartedAt" in annotations


def has_pod_defaults(live: Manifest) -> bool:
    """Tell whether the pod template of a live object has all defaults."""
    return all(_pod_spec(live).get(name) == value for name, value in DEFAULTS.items())


def _adds_alike(form: Manifest, live: Manifest) -> bool:
    """Tell whether a form has of what releases added just what the live pods have."""
    alike = counts_versions(_annotations(form)) == counts_versions(_annotations(live))
    return alike and has_pod_defaults(form) == has_pod_defaults(live)


def _with(wanted: Manifest, link: Manifest, annotations: Manifest) -> Manifest:
    template = {**wanted["spec"]["template"], "spec": {**link, **_pod_spec(wanted)}}
    if annotations:
        template["metadata"] = {**template["metadata"], "annotations": annotations}
    return {**wanted, "spec": {**wanted["spec"], "template": template}}


def _annotations(obj: Manifest) -> Manifest:
    return _inside(obj, "spec", "template", "metadata", "annotations")


def _pod_spec(obj: Manifest) -> Manifest:
    return _inside(obj, "spec", "template", "spec")


def _inside(obj: Manifest, *path: str) -> Manifest:
    """Return the mapping at a path; an empty one where a file has none."""
    found: object = obj
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
