"""The cluster's own network: nothing in it reaches, or is reached from, any other."""

import json
from pathlib import Path

from e2e.cluster.run import run

BRIDGE = "kbr0"
NODE = "10.244.0.1"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
DNS = "10.96.0.10"
_FOLDER = Path("/run/netns")


def make(name: str) -> None:
    """Make the namespace with its loopback and a bridge for pods.

    The route to the Services is for the host side: without it the API server cannot call webhooks.
    """
    run("ip", "netns", "add", name)
    for words in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {NODE}/16 dev {BRIDGE}",
        f"link set {BRIDGE} up",
        f"route add {SERVICES} dev {BRIDGE}",
    ):
        run("ip", "-n", name, *words.split())
    run("nsenter", f"--net={_FOLDER / name}", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def remove(name: str) -> None:
    """Remove the namespace, and with it every interface in it."""
    if (_FOLDER / name).exists():
        run("ip", "netns", "delete", name)


def exists(name: str) -> bool:
    """Tell whether the namespace is there."""
    return (_FOLDER / name).exists()


def link_of(name: str, address: str) -> str:
    """Return the link of the pod with this address. What is known of a pod goes when its link goes down: ask before."""
    pods = json.loads(run("ip", "-n", name, "-j", "neigh", "show", "dev", BRIDGE))
    mac = next(entry["lladdr"] for entry in pods if entry["dst"] == address and "lladdr" in entry)
    ports = json.loads(run("bridge", "-n", name, "-j", "fdb", "show", "br", BRIDGE))
    return str(next(entry["ifname"] for entry in ports if entry["mac"] == mac))


def set_link(name: str, link: str, state: str) -> None:
    """Set a link to "up" or "down"; a pod whose link is down reaches nobody, and nobody reaches it."""
    run("ip", "-n", name, "link", "set", link, state)


def cni(data: Path) -> str:
    """Return the configuration of the pods' network."""
    return f"""{{
  "cniVersion": "0.4.0",
  "name": "tidegate-e2e",
  "plugins": [{{
    "type": "bridge", "bridge": "{BRIDGE}", "isGateway": true, "isDefaultGateway": true, "hairpinMode": true,
    "ipam": {{"type": "host-local", "dataDir": "{data}", "ranges": [[{{
      "subnet": "{PODS}", "rangeStart": "10.244.1.0", "rangeEnd": "10.244.254.254", "gateway": "{NODE}"}}]]}}
  }}]
}}
"""
