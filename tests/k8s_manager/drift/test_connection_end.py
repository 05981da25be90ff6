"""A running gateway ends connections as before until its pods are replaced: nothing is written at an upgrade."""

from istio_templates.envoy_filter import SAFE_CONNECTION_AGE, with_abrupt_ends
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.connection_end import with_known_ends
from k8s_manager.drift.digest import stamped
from k8s_manager.drift.pod_defaults import DEFAULTS
from k8s_manager.offline.offline_world import manifests
from tests.support.documents import gateway

OBJECTS = manifests([gateway(managed={"replicas": 2})])
(WANTED,) = [obj for obj in OBJECTS if SAFE_CONNECTION_AGE in str(obj)]
(PODS,) = [obj for obj in OBJECTS if obj["kind"] == "Deployment"]
KEY = ObjectKey("Deployment", "inference-gw", "shared")
OLD = with_abrupt_ends(WANTED)


def pods(**spec) -> dict[ObjectKey, Manifest]:
    template = {**PODS["spec"]["template"], "spec": {**PODS["spec"]["template"]["spec"], **spec}}
    return {KEY: {**PODS, "spec": {**PODS["spec"], "template": template}}}


def test_a_new_gateway_ends_them_safely():
    assert with_known_ends(WANTED, None, {}) is WANTED


def test_a_running_one_keeps_its_filter_until_its_pods_are_replaced():
    assert with_known_ends(WANTED, stamped(OLD), pods(enableServiceLinks=True)) == OLD
    assert with_known_ends(WANTED, stamped(OLD), pods(**DEFAULTS)) is WANTED


def test_it_is_never_given_up_again():
    assert with_known_ends(WANTED, stamped(WANTED), pods(enableServiceLinks=True)) is WANTED


def test_other_filters_and_gateways_are_left_as_they_are():
    slot = next(obj for obj in OBJECTS if "slot-03" in obj["metadata"]["name"])
    assert with_known_ends(slot, stamped(slot), pods(enableServiceLinks=True)) is slot
    assert with_known_ends(PODS, stamped(PODS), {}) is PODS
    assert with_known_ends(WANTED, stamped(OLD), {}) is WANTED
