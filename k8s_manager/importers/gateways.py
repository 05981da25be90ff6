"""Gateways, as those that tenants share: what was found of them, and what Istio's Gateways say."""

from collections.abc import Collection
from itertools import chain, count

from istio_templates import names
from istio_templates.documents.fields import host_or_wildcard
from istio_templates.facts import Manifest
from k8s_manager.admission.rules.namespace_rules import ISTIO
from k8s_manager.importers.cluster_objects import ExistingObjects, items, namespace_of, part, texts
from k8s_manager.importers.proposal import Note, Proposal, label_of

_PLAIN = ("HTTP", "HTTP2", "GRPC")
Pairs = tuple[tuple[str, str], ...]
Named = dict[tuple[str, str], str]
"""The name of the InferenceGateway that each Gateway belongs to, by its namespace and name."""


class Gateways:
    """What was found of gateways: their names by Istio's Gateways and by those of the Gateway API, the namespaces of
    their pods, and the certificate of each host that has its own."""

    def __init__(self) -> None:
        self.names: Named = {}
        self.kubernetes: Named = {}
        self.homes: dict[str, str] = {}
        self._pools: dict[tuple[str, Pairs], str] = {}
        self.certificates: dict[tuple[str, str], str] = {}
        self.listeners: dict[str, list[Manifest]] = {}

    def gateway_of(self, home: str, selector: dict[str, str], wanted: str) -> str:
        """Return the gateway with these pods in a namespace; a new one has the wanted name, or one near to it."""
        name = self._pools.setdefault(
            (home, tuple(sorted(selector.items()))), _free(wanted, self._pools.values(), home)
        )
        self.homes[name] = home
        return name

    def propose(self, proposal: Proposal) -> None:
        """Propose an InferenceGateway for each set of gateway pods."""
        for (namespace, pairs), name in self._pools.items():
            said = f"its pods are taken to run in {namespace}; say where they are if that is not so"
            proposal.notes.append(Note(f"InferenceGateway {name}", "spec.namespace", said))
            spec = {"namespace": namespace, "selector": dict(pairs), "listeners": self.listeners.get(name, [])}
            proposal.put("InferenceGateway", name, spec)

    def certificate(self, gateway: str, host: str) -> str | None:
        """Return the Secret of a host that has its own at a gateway, by its name or by what covers it."""
        spellings = (host, "*." + host.partition(".")[2], "*")
        return next((found for spelling in spellings if (found := self.certificates.get((gateway, spelling)))), None)

    def serves(self, gateway: str, host: str) -> bool:
        """Tell whether a listener of a gateway serves a host."""
        listeners = self.listeners.get(gateway, [])
        return self.certificate(gateway, host) is not None or any(
            listener["protocol"] == "HTTP" or ("domain" in listener and names.under(host, listener["domain"]))
            for listener in listeners
        )


def read(seen: ExistingObjects, found: Gateways, proposal: Proposal) -> None:
    """Read Istio's Gateways."""
    for gateway in seen.all("Gateway"):
        spec = part(gateway, "spec")
        selector = {str(k): str(v) for k, v in part(spec, "selector").items()}
        if not selector:
            proposal.note(gateway, "spec.selector", "is empty: which pods it is for is not known, so it is left out")
            continue
        wanted = label_of(selector.get("istio") or gateway["metadata"]["name"])
        name = found.gateway_of(_home(gateway, selector, seen), selector, wanted)
        found.names[namespace_of(gateway), gateway["metadata"]["name"]] = name
        proposal.leave_out(gateway, "spec", spec, ("selector", "servers"))
        for number, server in enumerate(items(spec, "servers")):
            _server(gateway, f"spec.servers[{number}]", server, name, found, proposal)


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
    listeners = found.listeners.setdefault(name, [])
    if protocol in _PLAIN:
        listen(gateway, place, listeners, {"name": f"http-{number}", "port": number, "protocol": "HTTP"}, proposal)
        proposal.leave_out(gateway, f"{place}.tls", tls, ("httpsRedirect",))
        return
    secret = tls.get("credentialName")
    if tls.get("mode", "SIMPLE") != "SIMPLE" or not isinstance(secret, str) or label_of(secret) != secret:
        said = "is not expressed: HTTPS needs mode SIMPLE and a credentialName without dots"
        proposal.note(gateway, f"{place}.tls", said)
        return
    proposal.leave_out(gateway, f"{place}.tls", tls, ("mode", "credentialName"))
    listener: Manifest = {"name": f"https-{number}", "port": number, "protocol": "HTTPS"}
    if hosts and all(host.startswith("*.") and is_host(host) for host in hosts):
        for domain in sorted({host[2:].lower() for host in hosts}):
            wild = {**listener, "domain": domain, "credentialName": secret}
            listen(gateway, place, listeners, wild, proposal)
    elif listen(gateway, place, listeners, listener, proposal):
        found.certificates |= {(name, host): secret for host in hosts}


def listen(gateway: Manifest, place: str, listeners: list[Manifest], listener: Manifest, proposal: Proposal) -> bool:
    """Add a listener, unless there is one for the same; note it where another one is in its way."""
    port, domain = listener["port"], listener.get("domain")
    beside = [one for one in listeners if one["port"] == port]
    same = [one for one in listeners if domain and one.get("domain") == domain] or [
        one for one in beside if one["protocol"] == listener["protocol"] and one.get("domain") == domain
    ]
    if any(one["protocol"] != listener["protocol"] for one in beside):
        proposal.note(gateway, place, f"port {port} is another listener already: of HTTP and HTTPS, one port has one")
        return False
    if not same:
        taken = {one["name"] for one in listeners}
        named = (listener["name"], label_of(f"{listener['name']}-{domain or 'own'}"))
        listeners.append({**listener, "name": next(name for name in named if name not in taken)})
        return True
    if {**same[0], "name": ""} != {**listener, "name": ""}:
        proposal.note(gateway, place, f"*.{domain} is served by listener {same[0]['name']} already, which stays")
    return {**same[0], "name": ""} == {**listener, "name": ""}


def first_of(found: list[str], route: Manifest, field: str, proposal: Proposal) -> str | None:
    """Return the gateway that is proposed for a route, of those that serve it; note where that is none, or one of
    several."""
    if not found:
        proposal.note(route, "", "is not proposed: no gateway that was read serves it")
        return None
    if len(set(found)) > 1:
        said = f"is served by {', '.join(sorted(set(found)))}; a tenant has one, {found[0]} is proposed"
        proposal.note(route, field, said)
    return found[0]


def is_host(text: str) -> bool:
    """Tell whether a tenant can claim a host."""
    try:
        return bool(host_or_wildcard(text))
    except ValueError:
        return False
