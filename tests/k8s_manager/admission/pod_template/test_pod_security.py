"""What a tenant's pods may not do is refused with its field; what they may is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents.tenant import PodRules
from k8s_manager.admission.pod_template.pod_security import CAPABILITIES, violations

OWN = PodRules(service_accounts=("trainer",))
POOLS = PodRules(node_pools=({"pool": "search"}, {"gpu": "a100", "team": "search"}))


def contained(**fields) -> dict:
    return {"spec": {"containers": [{"name": "model", **fields}]}}


def secured(**context) -> dict:
    return contained(securityContext=context)


REFUSED = [
    ({"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}}, "metadata.labels.sidecar.istio.io/inject"),
    ({"metadata": {"labels": {"istio.io/rev": "canary"}}}, "metadata.labels.istio.io/rev"),
    ({"metadata": {"annotations": {"sidecar.istio.io/userVolume": "[]"}}}, "metadata.annotations.sidecar.istio.io/userVolume"),
    ({"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/model": "unconfined"}}}, "metadata.annotations.container.apparmor.security.beta.kubernetes.io/model"),
    ({"spec": {"hostNetwork": True}}, "spec.hostNetwork"),
    ({"spec": {"hostPID": True}}, "spec.hostPID"),
    ({"spec": {"hostIPC": "true"}}, "spec.hostIPC"),
    ({"spec": {"nodeName": "master-0"}}, "spec.nodeName"),
    ({"spec": {"priorityClassName": "system-node-critical"}}, "spec.priorityClassName"),
    ({"spec": {"serviceAccountName": "tidegate"}}, "spec.serviceAccountName"),
    ({"spec": {"serviceAccount": "tidegate"}}, "spec.serviceAccount"),
    ({"spec": {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]}}, "spec.volumes[1].hostPath"),
    ({"spec": {"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}}, "spec.securityContext.sysctls[0]"),
    ({"spec": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}}, "spec.securityContext.seccompProfile"),
    ({"spec": {"securityContext": {"windowsOptions": {"hostProcess": True}}}}, "spec.securityContext.windowsOptions.hostProcess"),
    ({"spec": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}}, "spec.securityContext.seLinuxOptions"),
    ({"spec": {"initContainers": [{"name": "i", "securityContext": {"privileged": True}}]}}, "spec.initContainers[0].securityContext.privileged"),
    (secured(privileged=True), "spec.containers[0].securityContext.privileged"),
    (secured(procMount="Unmasked"), "spec.containers[0].securityContext.procMount"),
    (secured(capabilities={"add": ["SYS_ADMIN"]}), "spec.containers[0].securityContext.capabilities.add"),
    (secured(capabilities={"add": "ALL"}), "spec.containers[0].securityContext.capabilities.add"),
    (secured(appArmorProfile={"type": "Unconfined"}), "spec.containers[0].securityContext.appArmorProfile"),
    (contained(ports=[{"containerPort": 1, "hostPort": 80}]), "spec.containers[0].ports[0].hostPort"),
    (contained(livenessProbe={"httpGet": {"host": "169.254.169.254"}}), "spec.containers[0].livenessProbe"),
    (contained(lifecycle={"postStart": {"httpGet": {"host": "10.0.0.1"}}}), "spec.containers[0].lifecycle.postStart"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "path"), REFUSED, ids=[path for _, path in REFUSED])
def test_what_leaves_the_container_or_takes_another_identity_is_refused(template, path):
    assert [found for found, _ in violations(template, OWN)] == [path]


def test_what_stays_inside_is_not():
    everything = {
        "metadata": {"labels": {"app": "x", "sidecar.istio.io/inject": "false"}, "annotations": {"a": "b"}},
        "spec": {
            "serviceAccountName": "trainer",
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "batch",
            "volumes": [{"name": "a", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x"}}],
            "securityContext": {"runAsNonRoot": True, "sysctls": [{"name": "net.ipv4.tcp_syncookies"}]},
            "containers": [
                {
                    "name": "model",
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
                    "securityContext": {
                        "capabilities": {"add": sorted(CAPABILITIES), "drop": ["ALL"]},
                        "procMount": "Default",
                    },
                }
            ],
        },
    }
    assert list(violations(everything, OWN)) == []


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        (None, False),
        ({"pool": "ads"}, False),
        ({"gpu": "a100"}, False),
        ({"pool": "search"}, True),
        ({"pool": "search", "zone": "a"}, True),
        ({"gpu": "a100", "team": "search"}, True),
    ],
)
def test_with_pools_a_selector_has_to_choose_one_of_them(selector, fits):
    found = list(violations({"spec": {"nodeSelector": selector}}, POOLS))
    assert [path for path, _ in found] == ([] if fits else ["spec.nodeSelector"])
    assert fits or "gpu=a100, team=search" in found[0][1]


def test_who_has_no_pool_gets_no_node():
    assert [path for path, _ in violations({}, PodRules(node_pools=()))] == ["spec.nodeSelector"]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "containers",
                    "securityContext",
                    "capabilities",
                    "add",
                    "sysctls",
                    "name",
                    "volumes",
                    "ports",
                    "lifecycle",
                    "x",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["spec", "metadata"]), json, max_size=2))
def test_nonsense_is_never_a_stack_trace(template):
    assert all(path.startswith(("spec.", "metadata.")) and said for path, said in violations(template, OWN))
