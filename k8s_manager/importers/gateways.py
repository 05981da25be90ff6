"""Istio's Gateways, as the gateways that tenants share."""

from collections.abc import Collection
from itertools import chain, count

from istio_templates import names
from istio_templates.documents.fields import host_or_wildcard
from istio_templates.facts import Manifest
from k8s_manager.admission.rules.namespace_rules import ISTIO
from k8s_manager.importers.existing_objects import ExistingObjects, items, namespace_of, part, texts
from k8s_manager.importers.proposal import Note, Proposal, label_of

_PLAIN = ("HTTP", "HTTP2", "GRPC")
Named = dict[tuple[str, str], str]
"""The name of the InferenceGateway that each Gateway belongs to, by its namespace and name."""


class Gateways:
    """What was found of gateways: their names, the namespaces of their pods by those, and the certificate of each host
    that has its own."""

    def __init__(self) -> None:
        self.names: Named = {}
        self.homes: dict[str, str] = {}
        self.certificates: dict[tuple[str, str], str] = {}
        self.listeners: dict[str, dict[int, Manifest]] = {}

    def certificate(self, gateway: str, host: str) -> str | None:
        """Return the Secret of a host that has its own at a gateway, by its name or by what covers it."""
        spellings = (host, "*." + host.partition(".")[2], "*")
        return next((found for spelling in spellings if (found := self.certificates.get((gateway, spelling)))), None)

    def serves(self, gateway: str, host: str) -> bool:
        """Tell whether a listener of a gateway serves a host."""
        listeners = self.listeners.get(gateway, {}).values()
        return self.certificate(gateway, host) is not None or any(
            listener["protocol"] == "HTTP" or ("domain" in listener and names.under(host, listener["domain"]))
            for listener in listeners
        )


def propose(seen: ExistingObjects, proposal: Proposal) -> Gateways:
    """Propose an InferenceGateway for each set of gateway pods."""
    found, pools = Gateways(), dict[tuple[str, tuple[tuple[str, str], ...]], str]()
    for gateway in seen.all("Gateway"):
        spec = part(gateway, "spec")
        selector = {str(k): str(v) for k, v in part(spec, "selector").items()}
        if not selector:
            proposal.note(gateway, "spec.selector", "is empty: which pods it is for is not known, so it is left out")
            continue
        place = (_home(gateway, selector, seen), tuple(sorted(selector.items())))
        wanted = label_of(selector.get("istio") or gateway["metadata"]["name"])
        name = pools.setdefault(place, _free(wanted, pools.values(), place[0]))
        found.names[namespace_of(gateway), gateway["metadata"]["name"]] = name
        found.homes[name] = place[0]
        proposal.leave_out(gateway, "spec", spec, ("selector", "servers"))
        for number, server in enumerate(items(spec, "servers")):
            _server(gateway, f"spec.servers[{number}]", server, name, found, proposal)
    for (namespace, pairs), name in pools.items():
        said = f"its pods are taken to run in {namespace}; say where they are if that is not so"
        proposal.notes.append(Note(f"InferenceGateway {name}", "spec.namespace", said))
        ports = list(found.listeners.get(name, {}).values())
        proposal.put("InferenceGateway", name, {"namespace": namespace, "selector": dict(pairs), "listeners": ports})
    return found


def _home(gateway: Manifest, selector: dict[str, str], seen: ExistingObjects) -> str:
    """Return the namespace in which the pods of a Gateway run, as far as that can be known.

    Istio takes pods of every namespace. A Service that selects the same ones runs where they do. Without one it is the
    Gateway's own namespace, unless routes show that this is an application's, as in Istio's samples.
    """
    own = namespace_of(gateway)
    chosen = [(namespace_of(service), part(part(service, "spec"), "selector")) for service in seen.all("Service")]
    homes = {namespace for namespace, labels in chosen if selector.items() <= labels.items()}
    if homes:
        return own if own in homes else min(homes)
    is_an_applications = any(namespace_of(route) == own for route in seen.all("VirtualService"))
    return ISTIO if is_an_applications else own


def _free(name: str, taken: Collection[str], namespace: str) -> str:
    """Return a name that no other has."""
    wanted = chain([name, f"{name}-{namespace}"], (f"{name}-{namespace}-{number}" for number in count(2)))
    return next(found for found in wanted if found not in taken)


def _server(gateway: Manifest, place: str, server: Manifest, name: str, found: Gateways, proposal: Proposal) -> None:
    proposal.leave_out(gateway, place, server, ("hosts", "port", "tls"))
    port, tls = part(server, "port"), part(server, "tls")
    number, protocol = port.get("number"), str(port.get("protocol", "")).upper()
    hosts = [host.rpartition("/")[2] for host in texts(server, "hosts")]
    if type(number) is not int or not 0 < number < 65536 or protocol not in (*_PLAIN, "HTTPS"):
        said = f"{protocol or 'no protocol'} on port {number} is not served; HTTP and HTTPS on ports from 1 on are"
        proposal.note(gateway, f"{place}.port", said)
        return
    listeners = found.listeners.setdefault(name, {})
    if protocol in _PLAIN:
        _listen(gateway, place, listeners, {"name": f"http-{number}", "port": number, "protocol": "HTTP"}, proposal)
        proposal.leave_out(gateway, f"{place}.tls", tls, ("httpsRedirect",))
        return
    secret = tls.get("credentialName")
    if tls.get("mode", "SIMPLE") != "SIMPLE" or not isinstance(secret, str) or label_of(secret) != secret:
        said = "is not expressed: HTTPS needs mode SIMPLE and a credentialName without dots"
        proposal.note(gateway, f"{place}.tls", said)
        return
    proposal.leave_out(gateway, f"{place}.tls", tls, ("mode", "credentialName"))
    listener: Manifest = {"name": f"https-{number}", "port": number, "protocol": "HTTPS"}
    is_wild = len(hosts) == 1 and hosts[0].startswith("*.") and is_host(hosts[0])
    if is_wild:
        listener |= {"domain": hosts[0][2:], "credentialName": secret}
    if _listen(gateway, place, listeners, listener, proposal) and not is_wild:
        found.certificates |= {(name, host): secret for host in hosts}


def _listen(
    gateway: Manifest, place: str, listeners: dict[int, Manifest], listener: Manifest, proposal: Proposal
) -> bool:
    """Add a listener; tell whether its port is that listener's, and note it where it is another's."""
    there = listeners.setdefault(listener["port"], listener)
    if there != listener:
        proposal.note(gateway, place, f"port {listener['port']} is another listener already; one port has one")
    return there == listener


def is_host(text: str) -> bool:
    """Tell whether a tenant can claim a host."""
    try:
        return bool(host_or_wildcard(text))
    except ValueError:
        return False
