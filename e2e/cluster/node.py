"""One node: start everything in order, and take everything away again, also what a failure left behind."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import grpc

from e2e.cluster import cgroups, components, network, pki
from e2e.cluster.errors import Failed
from e2e.cluster.pki import Pki
from e2e.cluster.place import Place
from e2e.cluster.processes import Processes, Started, this_process
from e2e.cluster.run import run

START_SECONDS = 90.0
_KUBELETS = Path("/run/tidegate-e2e-kubelets.lock")
_DEVICE_PLUGINS = "/var/lib/kubelet/device-plugins/kubelet.sock"
_CONTAINERD_LOGS = Path("/var/log/containers")


class Node:
    """The node of one cluster."""

    def __init__(self, place: Place, programs: dict[str, Path]) -> None:
        self.place, self._programs = place, programs
        self.processes = Processes(place.state / "processes.json", place.logs)
        self._pki = Pki(place.state / "pki")
        self._starter = place.state / "starter.json"

    def claim(self) -> None:
        """Make the cluster's folder: whoever makes it may start, and may take away what was started."""
        try:
            self.place.state.mkdir(parents=True, mode=0o700)
        except FileExistsError as error:
            what = f"{self.place.state} is there already: another cluster runs, or is left over"
            raise Failed(f"{what}; end it with: make cluster-down") from error
        self._starter.write_text(json.dumps(asdict(this_process())))

    def runs(self) -> bool:
        """Tell whether the cluster runs, or is being started; what a crash of the machine left does neither."""
        if self.starter():
            return True
        started = self.processes.all()
        return bool(started) and all(process.runs() for process in started)

    def starter(self) -> Started | None:
        """Return the process that started the cluster if it still runs: it takes the cluster away when it ends."""
        found = Started(**json.loads(self._starter.read_text())) if self._starter.exists() else None
        return found if found and found.runs() else None

    def start(self, images: dict[str, Path]) -> None:
        """Start everything, and return when the node is ready for pods."""
        place = self.place
        shutil.rmtree(place.logs, ignore_errors=True)
        (place.logs / "pods").mkdir(parents=True)
        network.make(place.name)
        cgroups.make(place.name)
        pki.make(self._pki.folder)
        shutil.copy(self._pki.kubeconfig("admin"), place.kubeconfig)
        self._write_configurations()
        self.start_runtime()
        self.start_etcd()
        self.start_apiserver()
        self._start(
            "controller-manager", components.controller_manager(self.program("kube-controller-manager"), self._pki)
        )
        self._start("scheduler", components.scheduler(self.program("kube-scheduler"), self._pki))
        for path in images.values():
            self.load(path)
        self.start_kubelet()
        proxy = place.state / "kube-proxy.yaml"
        self._start("kube-proxy", components.kube_proxy(self.program("kube-proxy"), proxy))
        self.until("the node is ready", lambda: "True" in self._node_ready())

    def load(self, archive: Path) -> None:
        """Give the container runtime an image."""
        run("ctr", "-a", self.place.containerd_socket, "-n", "k8s.io", "images", "import", archive)

    def start_apiserver(self) -> None:
        """Start the API server, and return when it is ready."""
        self._start("apiserver", components.apiserver(self.program("kube-apiserver"), self._pki, self.place))
        self.until("the API server is ready", lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok")

    def stop_apiserver(self, number: int = signal.SIGTERM) -> None:
        """Stop the API server, and return when its port is free."""
        self.processes.stop("apiserver", number)

    def start_etcd(self, quota: int = 0) -> None:
        """Start etcd; with a quota in bytes it takes no write beyond that size, 0 is its own default."""
        self._start("etcd", components.etcd(self.place.state, quota))

    def stop_etcd(self) -> None:
        """Stop etcd, and return when its port is free."""
        self.processes.stop("etcd")

    def start_runtime(self) -> None:
        """Start containerd, and return when it answers kubelets; containers that run already go on running.

        It serves before it has found its containers again, and refuses kubelets until then: they end.
        """
        self._start("containerd", ["containerd", "--config", str(self.place.state / "containerd.toml")])
        self.until("containerd answers kubelets", self._runtime_answers)

    def stop_runtime(self) -> None:
        """Stop containerd, and return when it has ended."""
        self.processes.stop("containerd")

    def start_kubelet(self) -> None:
        """Start the kubelet, and return when it listens for device plugins; pods that run already go on running.

        The path of that socket is the same for every kubelet of a machine. Each removes what stands there and binds its
        own, and of two that do so in the same moment one ends.
        """
        config, sockets = self.place.state / "kubelet.yaml", (*self.place.inside, "cat", "/proc/net/unix")
        with _one_at_a_time(_KUBELETS):
            self._start("kubelet", components.kubelet(self.program("kubelet"), self._pki, config, self.place))
            self.until("the kubelet listens for device plugins", lambda: _DEVICE_PLUGINS in run(*sockets))

    def stop_kubelet(self) -> None:
        """Stop the kubelet, and return when it has ended."""
        self.processes.stop("kubelet")

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator."""
        command = (*self.place.inside, self.program("kubectl"), "--kubeconfig", self.place.kubeconfig)
        return run(*command, *words, stdin=stdin, check=check)

    def until(self, what: str, met: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until a condition is met; raises `Failed` when a process has ended meanwhile or the time is over."""
        until = time.monotonic() + seconds
        while not met():
            for started in self.processes.all():
                if not started.runs():
                    raise Failed(f"{started.name} has ended; read {self.processes.log(started.name)}")
            if time.monotonic() > until:
                raise Failed(f"waited {seconds:.0f} s in vain until {what}; the logs are in {self.place.logs}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Take everything away: pods, processes, mounts, the namespace. What is not there is passed over."""
        place = self.place
        self.processes.stop("kubelet")
        self._stop_containers()
        for started in reversed(self.processes.all()):
            self.processes.stop(started.name, signal.SIGKILL if started.name == "etcd" else signal.SIGTERM)
        _kill_all(_shims_of(place.containerd_socket))
        _unmount_below(place.state)
        network.remove(place.name)
        cgroups.remove(place.name)
        _remove_links_into(place.logs)
        shutil.rmtree(place.state, ignore_errors=True)

    def _stop_containers(self) -> None:
        if not self.place.containerd_socket.exists():
            return
        ctr = ("ctr", "-a", str(self.place.containerd_socket), "-n", "k8s.io")
        try:
            for task in run(*ctr, "tasks", "ls", "-q", check=False, timeout=20).split():
                run(*ctr, "tasks", "kill", "-s", "SIGKILL", "-a", task, check=False, timeout=20)
                run(*ctr, "tasks", "delete", "-f", task, check=False, timeout=20)
        except Failed as error:
            print(f"{error}; its processes are killed instead", flush=True)

    def _write_configurations(self) -> None:
        place = self.place
        (place.state / "cni").mkdir()
        (place.state / "cni" / "10-bridge.conflist").write_text(network.cni(place.state / "cni-addresses"))
        (place.state / "containerd.toml").write_text(components.containerd_config(place))
        (place.state / "kubelet.yaml").write_text(components.kubelet_config(self._pki, place))
        (place.state / "audit-policy.json").write_text(components.audit_policy())
        (place.state / "kube-proxy.yaml").write_text(components.kube_proxy_config(self._pki))

    def _runtime_answers(self) -> bool:
        with grpc.insecure_channel(f"unix://{self.place.containerd_socket}") as channel:
            version = channel.unary_unary("/runtime.v1.RuntimeService/Version")
            try:
                version(b"", timeout=5)
            except grpc.RpcError:
                return False
        return True

    def _node_ready(self) -> str:
        path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl("get", "nodes", "-o", f"jsonpath={path}", check=False)

    def _start(self, name: str, command: list[str]) -> None:
        self.processes.start(name, [*self.place.inside, *command])

    def program(self, name: str) -> Path:
        """Return the path of a program."""
        return self._programs[name]


def _shims_of(socket: Path) -> list[int]:
    """Return the ids of the shims that this cluster's containerd left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "containerd-shim" in words[0] and str(socket) in words:
                found.append(int(entry.name))
    return found


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in the block."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unmount_below(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        run("umount", "-l", path, check=False)


def _remove_links_into(logs: Path) -> None:
    """Remove the links that the kubelet makes to the pods' logs."""
    if _CONTAINERD_LOGS.exists():
        for link in _CONTAINERD_LOGS.iterdir():
            with contextlib.suppress(OSError):  # a cluster beside this one may take its own away
                if logs in link.readlink().parents:
                    link.unlink()
