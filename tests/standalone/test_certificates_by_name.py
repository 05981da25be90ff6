"""Several certificates on one port: which one a client is shown, and what it reaches behind it."""

import asyncio
import base64
import ssl
from dataclasses import dataclass

import pytest
import trustme

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.offline.offline_world import planned, world_of
from k8s_manager.pipeline.plan import plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.standalone.translator.config import GatewayPod
from k8s_manager.standalone.translator.snapshot import LISTENER, snapshot
from k8s_manager.status.document_status import DocumentInputs
from k8s_manager.status.model_status import ModelInputs, model_status
from tests.golden.case import rendered
from tests.support.documents import gateway, model, tenant
from tests.support.envoy import EnvoyUnderTest, config_of, running_envoy

PORT = 8443
ROUTED = (429, 503)  # to a model without a pod
DOMAINS = {
    "models": ("*.models.example.com",),
    "europe": ("*.eu.models.example.com",),
    "partners": ("*.partners.example.net", "*.resellers.example.net"),
    "vip": ("vip.models.example.com",),
}
HTTP = {"name": "http", "port": 8080, "protocol": "HTTP"}
OWN = {"name": "own", "port": PORT, "protocol": "HTTPS"}


def wild(name: str, domain: str, port: int = PORT, credential: str = "") -> dict:
    found = {"name": name, "port": port, "protocol": "HTTPS", "domain": domain}
    return {**found, "credentialName": credential or f"{name}-cert"}


A, B = wild("a", "a.example.com"), wild("b", "b.example.com")


@dataclass
class Client:
    envoy: EnvoyUnderTest
    trust: ssl.SSLContext

    async def ask(self, name: str, host: str, path: str) -> tuple[set[str], int]:
        """Return the names of the certificate that is shown for `name`, and the status of a request for `host`."""
        reader, writer = await asyncio.open_connection(self.envoy.address, PORT, ssl=self.trust, server_hostname=name)
        shown = writer.get_extra_info("peercert")["subjectAltName"]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        writer.close()
        return {name for _, name in shown}, status


def secrets(authority: trustme.CA, names: list[str]) -> list[dict]:
    out = []
    for name in names:
        issued = authority.issue_cert(*DOMAINS[name])
        data = {"tls.crt": issued.cert_chain_pems[0].bytes(), "tls.key": issued.private_key_pem.bytes()}
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        out.append({"metadata": {"namespace": "inference-gw", "name": name}, "data": encoded})
    return out


@pytest.mark.xdist_group("envoy")
async def test_a_client_gets_the_certificate_of_the_narrowest_listener(tmp_path):
    authority = trustme.CA()
    config = config_of(rendered("several-certificates"))
    config.secrets = secrets(authority, sorted(DOMAINS))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with running_envoy(tmp_path) as envoy:
        await envoy.load(snapshot(config, envoy.pod({"istio": "inference-gw"}, "inference-gw")))
        assert envoy.ads.rejections == [] and not config.omissions.found
        client = Client(envoy, trust)
        for host, path, certificate in (
            ("search.models.example.com", "/rank", "models"),
            ("search.eu.models.example.com", "/rank", "europe"),
            ("search.partners.example.net", "/rank", "partners"),
            ("search.resellers.example.net", "/rank", "partners"),
            ("ads.models.example.com", "/bid", "models"),
            ("vip.models.example.com", "/bid", "vip"),
        ):
            shown, status = await client.ask(host, host, path)
            assert shown == set(DOMAINS[certificate]), host
            assert status in ROUTED, host
        # One connection serves all hosts of its certificate, and none of another's.
        europe, partners, resellers = (f"search.{d}" for d in ("eu.models.example.com", "partners.example.net", "resellers.example.net"))  # fmt: skip
        assert (await client.ask(partners, resellers, "/rank"))[1] in ROUTED
        assert (await client.ask(partners, europe, "/rank"))[1] == 404
        assert (await client.ask("search.models.example.com", europe, "/rank"))[1] == 404


def objects(*documents: dict, secrets: set[str] | None = None) -> dict[tuple[str, str], dict]:
    known = None if secrets is None else {("inference-gw", name) for name in secrets}
    made = Renderer().render(planned(world_of(list(map(parse, documents)), secrets=known))).objects
    return {(key.kind, key.name): obj for key, obj in made.items()}


def test_a_certificate_that_is_missing_does_not_hold_back_its_neighbours():
    """Envoy opens a port when it has all certificates of it."""
    hosts = [{"name": "x.a.example.com"}, {"name": "x.b.example.com"}]
    documents = gateway(listeners=[HTTP, A, B]), tenant(hosts=hosts)
    for there in ({"a-cert"}, {"b-cert"}, {"a-cert", "b-cert"}):
        servers = objects(*documents, secrets=there)["Gateway", "gateway-shared"]["spec"]["servers"]
        assert {server["tls"]["credentialName"] for server in servers if "tls" in server} == there
    alone = objects(gateway(listeners=[HTTP, A]), tenant(hosts=hosts[:1]), secrets=set())
    assert alone["Gateway", "gateway-shared"]["spec"]["servers"][0]["tls"]["credentialName"] == "a-cert"


def test_a_port_is_opened_once_however_many_certificates_it_has():
    made = objects(gateway(listeners=[HTTP, A, B, OWN], managed={"replicas": 1}))
    service = made["Service", "shared"]["spec"]["ports"]
    assert [(port["name"], port["port"]) for port in service] == [("http", 8080), ("a", PORT)]
    (container,) = made["Deployment", "shared"]["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [8080, PORT]


CLASHES = [
    ([A, wild("c", "a.example.com")], "a serves *.a.example.com already"),
    ([A, wild("c", "a.example.com", port=9443)], "a serves *.a.example.com already"),
    ([A, wild("a", "b.example.com")], "same name a"),
    ([OWN, {**OWN, "name": "more"}], "one listener is for all of them"),
    ([HTTP, wild("c", "a.example.com", port=8080)], "only HTTPS tells hosts apart"),
    ([HTTP, {**OWN, "port": 8080}], "only HTTPS tells hosts apart"),
    ([HTTP, {**HTTP, "name": "more"}], "only HTTPS tells hosts apart"),
]


@pytest.mark.parametrize(("listeners", "words"), CLASHES)
def test_listeners_that_envoy_cannot_part_are_refused(listeners, words):
    with pytest.raises(Invalid) as refused:
        parse(gateway(listeners=listeners))
    (problem,) = refused.value.problems
    assert problem.field == "spec.listeners[1]" and words in problem.message


def admitted(*documents: dict) -> dict[str, AdmissionResult]:
    plan = plan_once(world_of(list(map(parse, documents))))
    return {key.kind: result for key, result in plan.admission.items()}


@pytest.mark.parametrize(
    ("own_port", "host", "accepted"),
    [
        (PORT, "*.a.example.com", False),
        (9443, "*.a.example.com", True),
        (PORT, "x.a.example.com", True),
        (PORT, "*.x.a.example.com", True),
        (PORT, "*.example.com", True),
    ],
)
def test_a_tenants_own_wildcard_certificate_is_refused_where_a_listener_has_one(own_port, host, accepted):
    shared = gateway(listeners=[A, B, {**OWN, "port": own_port}])
    found = admitted(shared, tenant(hosts=[{"name": host, "tls": {"credentialName": "mine"}}]))["Tenant"]
    assert found.accepted == accepted
    if not accepted:
        assert found.problems[0].field == "spec.hosts[0].name"
        assert "listener a of gateway shared serves *.a.example.com on the same port" in found.problems[0].message


ROUTE = {"path": "/r", "port": 8080}


@pytest.mark.parametrize(
    ("hosts", "tls", "servers"),
    [
        (["x.a.example.com", "x.b.example.com"], None, 2),
        (["x.a.example.com", "x.example.org"], None, 2),
        (["x.example.org", "y.example.org"], "mine", 2),
        (["x.a.example.com", "y.a.example.com"], None, 1),
        (["x.example.org", "y.example.org"], None, 1),
    ],
)
def test_a_model_whose_hosts_are_counted_apart_says_so(hosts, tls, servers):
    claims = [{"name": host, **({"tls": {"credentialName": tls}} if tls else {})} for host in hosts]
    documents = gateway(listeners=[HTTP, A, B, OWN]), tenant(hosts=claims), model(routes=[{**ROUTE, "host": h} for h in hosts])  # fmt: skip
    world = world_of(list(map(parse, documents)))
    (stored,) = world.models
    spec, served = stored.document.spec, planned(world).models["search", "ranker"]
    inputs = ModelInputs(spec, None, served, (("v1", 1),), (), (), None, None, None, (), None)
    status = model_status(stored, DocumentInputs(AdmissionResult(True), written=True), inputs, {})
    found = [condition for condition in status["conditions"] if condition["type"] == "CountedTogether"]
    assert [f"up to {servers} times" in condition["message"] for condition in found] == [True] * (servers > 1)


def test_of_two_servers_with_one_name_the_translator_leaves_out_the_later():
    made = rendered("several-certificates")
    (shared,) = [obj for obj in made if obj["kind"] == "Gateway" and obj["metadata"]["name"] == "gateway-shared"]
    again = {**shared["spec"]["servers"][0], "hosts": ["search/*.models.example.com", "search/*.other.example.com"]}
    shared["spec"]["servers"].append({**again, "port": {**again["port"], "name": "again"}})
    config = config_of(made)
    found = snapshot(config, GatewayPod("inference-gw", {"istio": "inference-gw"}, "127.0.0.2"))
    chains = found[LISTENER]["0.0.0.0_8443"]["filter_chains"]
    names = [name for chain in chains for name in chain["filter_chain_match"]["server_names"]]
    assert len(names) == len(set(names)) and "*.other.example.com" not in names
    assert any("*.models.example.com too" in omission for omission in config.omissions.found)
