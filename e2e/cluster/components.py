"""How each part of the node is started: its command line and its configuration. Pure."""

import json
from pathlib import Path

from e2e.cluster.network import DNS, NODE, SERVICES
from e2e.cluster.pki import FRONT_PROXY, Pki
from e2e.cluster.place import Place
from e2e.cluster.recipes import PAUSE
from k8s_manager.doctor.rbac import ACCOUNT
from k8s_manager.world.installation import SYSTEM

ETCD = "http://127.0.0.1:2379"


def etcd(state: Path, quota: int = 0) -> list[str]:
    """etcd for one short life: nothing is flushed to the disk. It takes no write beyond a quota in bytes, if not 0."""
    return ["etcd", "--data-dir", f"{state}/etcd", "--unsafe-no-fsync", "--listen-client-urls", ETCD,
            "--advertise-client-urls", ETCD, "--listen-peer-urls", "http://127.0.0.1:2380",
            f"--quota-backend-bytes={quota}"]  # fmt: skip


def audit_policy() -> str:
    """Which calls the API server notes: the manager's, so that its rights can be held against what it did."""
    mine = {"level": "Metadata", "users": [f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"]}
    head = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
    return json.dumps({**head, "rules": [mine, {"level": "None"}]})


def apiserver(program: Path, pki: Pki, place: Place) -> list[str]:
    """The API server; it verifies the kubelet as its clients verify it."""
    return [
        str(program),
        f"--etcd-servers={ETCD}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={NODE}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.ca}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki.ca}",
        f"--kubelet-client-certificate={pki.certificate('apiserver-to-kubelet')}",
        f"--kubelet-client-key={pki.key('apiserver-to-kubelet')}",
        f"--requestheader-client-ca-file={pki.front_proxy_ca}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki.certificate(FRONT_PROXY)}",
        f"--proxy-client-key-file={pki.key(FRONT_PROXY)}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.key('service-accounts')}",
        f"--service-account-signing-key-file={pki.key('service-accounts')}",
        "--shutdown-delay-duration=0s",
        "--profiling=false",
        f"--audit-policy-file={place.state / 'audit-policy.json'}",
        f"--audit-log-path={place.audit_log}",
    ]


def controller_manager(program: Path, pki: Pki) -> list[str]:
    """The controllers of Kubernetes itself."""
    return [
        str(program),
        f"--kubeconfig={pki.kubeconfig('controller-manager')}",
        f"--service-account-private-key-file={pki.key('service-accounts')}",
        "--use-service-account-credentials",
        f"--root-ca-file={pki.ca}",
        "--leader-elect=false",
        # A scenario takes the API server away: the node's heartbeat may be late, and its pods are well all the same.
        "--node-monitor-grace-period=150s",
    ]


def scheduler(program: Path, pki: Pki) -> list[str]:
    """The scheduler."""
    return [str(program), f"--kubeconfig={pki.kubeconfig('scheduler')}", "--leader-elect=false"]


def kubelet(program: Path, pki: Pki, config: Path, place: Place) -> list[str]:
    """The kubelet of the one node."""
    return [str(program), f"--kubeconfig={pki.kubeconfig('kubelet')}", f"--config={config}",
            f"--root-dir={place.state}/kubelet", "--hostname-override=node0", f"--node-ip={NODE}"]  # fmt: skip


def kubelet_config(pki: Pki, place: Place) -> str:
    """The kubelet's configuration: no limits of a disk that is shared with others, pods' logs beside the others."""
    return f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /{place.name}
containerRuntimeEndpoint: unix://{place.containerd_socket}
failSwapOn: false
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: "{pki.ca}"}}
authorization: {{mode: AlwaysAllow}}
tlsCertFile: "{pki.certificate("kubelet-server")}"
tlsPrivateKeyFile: "{pki.key("kubelet-server")}"
resolvConf: ""
clusterDNS: [{DNS}]
clusterDomain: cluster.local
podLogsDir: "{place.logs}/pods"
containerLogMaxSize: 100Mi
maxPods: 200
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
"""


def kube_proxy(program: Path, config: Path) -> list[str]:
    """The one that makes Services reachable."""
    return [str(program), f"--config={config}", "--hostname-override=node0"]


def kube_proxy_config(pki: Pki) -> str:
    """Its configuration; the limits of connection tracking belong to the machine and stay as they are."""
    return f"""apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {{kubeconfig: "{pki.kubeconfig("kube-proxy")}"}}
conntrack: {{maxPerCore: 0, min: 0}}
"""


def containerd_config(place: Place) -> str:
    """The container runtime's configuration: everything below the cluster's folder.

    `restrict_oom_score_adj`: without the right to lower it, every sandbox would fail.
    """
    state = place.state
    return f"""version = 2
root = "{state}/containerd"
state = "{state}/containerd-run"
[grpc]
  address = "{place.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
