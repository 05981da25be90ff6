"""Defaults of the manager's pods where their author leaves a field open, without a rollout of their own. Pure.

A field more in a pod template replaces every pod. So a Deployment that runs without such a field keeps running without
it, until another field of its pod template changes.
"""

from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest
from k8s_manager.drift.digest import digest_of, stamped
from k8s_manager.drift.field_policy import resolve

DEFAULTS = {"enableServiceLinks": False}
"""A Service named like the prefix of a server's own variables would set those: Service `model` sets `MODEL_PORT`."""
_TEMPLATE = "spec.template."


def with_pod_defaults(wanted: Manifest, live: Manifest | None, policy: Drift = "repair") -> Manifest:
    """Return a desired object with the defaults of its pod template, unless they alone would replace the live pods."""
    if wanted["kind"] != "Deployment" or DEFAULTS.keys() <= _pod_spec(wanted).keys():
        return wanted
    full = _with_defaults(wanted)
    if live is None or has_pod_defaults(live):
        return full
    digest = digest_of(live)
    if digest is not None and digest in (digest_of(stamped(full)), digest_of(stamped(wanted))):
        return full if digest == digest_of(stamped(full)) else wanted
    changed = resolve(policy, wanted, live, drifted=digest is None).set_back
    return full if any(path.startswith(_TEMPLATE) for path in changed) else wanted


def has_pod_defaults(live: Manifest) -> bool:
    """Tell whether the pod template of a live object has all defaults."""
    return all(_pod_spec(live).get(name) == value for name, value in DEFAULTS.items())


def _with_defaults(wanted: Manifest) -> Manifest:
    spec = wanted["spec"]
    template = {**spec["template"], "spec": {**DEFAULTS, **_pod_spec(wanted)}}
    return {**wanted, "spec": {**spec, "template": template}}


def _pod_spec(obj: Manifest) -> Manifest:
    found: object = obj
    for name in ("spec", "template", "spec"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
