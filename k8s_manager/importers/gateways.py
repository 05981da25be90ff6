"""Istio's Gateways, as the gateways that tenants share."""

from collections.abc import Collection
from itertools import chain, count

from istio_templates.facts import Manifest
from k8s_manager.importers.existing_objects import ExistingObjects, items, namespace_of, part, texts
from k8s_manager.importers.proposal import Note, Proposal

_PLAIN = ("HTTP", "HTTP2", "GRPC")
Named = dict[tuple[str, str], str]
"""The name of the InferenceGateway that each Gateway belongs to, by its namespace and name."""


class Gateways:
    """What was found of gateways: their names, and the certificate of each host that has its own."""

    def __init__(self) -> None:
        self.names: Named = {}
        self.certificates: dict[str, str] = {}

    def certificate(self, host: str) -> str | None:
        """Return the Secret of a host that has its own, by its name or by what covers it."""
        wild = "*." + host.partition(".")[2]
        return self.certificates.get(host) or self.certificates.get(wild) or self.certificates.get("*")


def propose(seen: ExistingObjects, proposal: Proposal) -> Gateways:
    """Propose an InferenceGateway for each set of gateway pods."""
    found, pools = Gateways(), dict[tuple[str, tuple[tuple[str, str], ...]], str]()
    listeners: dict[str, dict[int, Manifest]] = {}
    for gateway in seen.all("Gateway"):
        spec = part(gateway, "spec")
        selector = {str(k): str(v) for k, v in part(spec, "selector").items()}
        if not selector:
            proposal.note(gateway, "spec.selector", "is empty: which pods it is for is not known, so it is left out")
            continue
        place = (namespace_of(gateway), tuple(sorted(selector.items())))
        name = pools.setdefault(
            place, _free(selector.get("istio") or gateway["metadata"]["name"], pools.values(), place[0])
        )
        found.names[place[0], gateway["metadata"]["name"]] = name
        proposal.leave_out(gateway, "spec", spec, ("selector", "servers"))
        for number, server in enumerate(items(spec, "servers")):
            _server(gateway, f"spec.servers[{number}]", server, listeners.setdefault(name, {}), found, proposal)
    for (namespace, pairs), name in pools.items():
        said = f"its pods are taken to run in {namespace}, as the Gateway does; say where they are if that is not so"
        proposal.notes.append(Note(f"InferenceGateway {name}", "spec.namespace", said))
        ports = list(listeners.get(name, {}).values())
        proposal.put("InferenceGateway", name, {"namespace": namespace, "selector": dict(pairs), "listeners": ports})
    return found


def _free(name: str, taken: Collection[str], namespace: str) -> str:
    """Return a name that no other has."""
    wanted = chain([name, f"{name}-{namespace}"], (f"{name}-{namespace}-{number}" for number in count(2)))
    return next(found for found in wanted if found not in taken)


def _server(
    gateway: Manifest, place: str, server: Manifest, listeners: dict[int, Manifest], found: Gateways, proposal: Proposal
) -> None:
    proposal.leave_out(gateway, place, server, ("hosts", "port", "tls"))
    port, tls = part(server, "port"), part(server, "tls")
    number, protocol = port.get("number"), str(port.get("protocol", "")).upper()
    hosts = [host.rpartition("/")[2] for host in texts(server, "hosts")]
    if not isinstance(number, int) or protocol not in (*_PLAIN, "HTTPS"):
        proposal.note(gateway, f"{place}.port", f"{protocol or 'no protocol'} is not served; HTTP and HTTPS are")
        return
    if protocol in _PLAIN:
        _listen(gateway, place, listeners, {"name": f"http-{number}", "port": number, "protocol": "HTTP"}, proposal)
        proposal.leave_out(gateway, f"{place}.tls", tls, ("httpsRedirect",))
        return
    secret = tls.get("credentialName")
    if tls.get("mode", "SIMPLE") != "SIMPLE" or not isinstance(secret, str):
        proposal.note(gateway, f"{place}.tls", "is not expressed: HTTPS needs mode SIMPLE and a credentialName")
        return
    proposal.leave_out(gateway, f"{place}.tls", tls, ("mode", "credentialName"))
    listener: Manifest = {"name": f"https-{number}", "port": number, "protocol": "HTTPS"}
    if len(hosts) == 1 and hosts[0].startswith("*."):
        listener |= {"domain": hosts[0][2:], "credentialName": secret}
    else:
        found.certificates |= dict.fromkeys(hosts, secret)
    _listen(gateway, place, listeners, listener, proposal)


def _listen(
    gateway: Manifest, place: str, listeners: dict[int, Manifest], listener: Manifest, proposal: Proposal
) -> None:
    there = listeners.setdefault(listener["port"], listener)
    if there != listener:
        proposal.note(gateway, place, f"port {listener['port']} is another listener already; one port has one")
