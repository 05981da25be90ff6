"""Certificates that gateways serve are watched: absent, for others, at their end, renewed."""

from datetime import UTC, datetime, timedelta

from k8s_manager.runtime.metrics import REGISTRY
from k8s_manager.world.certificate import AHEAD
from tests.support.bounds import hung
from tests.support.certificates import secret
from tests.support.documents import gateway, tenant
from tests.support.waiting import until

HOST = "search.models.example.com"
LISTENERS = [
    {"name": "https", "port": 8443, "protocol": "HTTPS"},
    {"name": "wild", "port": 9443, "protocol": "HTTPS", "domain": "apps.example.com", "credentialName": "wild"},
]
METRIC = "tidegate_certificate_expiry_timestamp_seconds"


async def told(fleet, kind: str, name: str, reason: str, words: str) -> None:
    async def is_told() -> bool:
        found = await fleet.condition(kind, name, "CertificatesValid")
        return found.get("reason") == reason and words in found["message"]

    await until(is_told, f"{kind} {name} being told {reason}")


async def test_a_certificate_is_told_before_it_ends_and_until_it_is_renewed(fleet):
    def own(until_: datetime, *hosts: str) -> dict:
        return secret(until_, *(hosts or (HOST,)), name="own", namespace="inference-gw")

    now = datetime.now(UTC)
    async with fleet.manager():
        await fleet.apply(
            gateway(listeners=LISTENERS), tenant(hosts=[{"name": HOST, "tls": {"credentialName": "own"}}])
        )
        await told(fleet, "Tenant", "search", "Absent", "Secret inference-gw/own does not exist")
        await told(fleet, "InferenceGateway", "shared", "Absent", "create it with a certificate for *.apps.example.com")
        await fleet.apply(secret(now + 2 * AHEAD, "*.apps.example.com", name="wild", namespace="inference-gw"))
        await told(fleet, "InferenceGateway", "shared", "Valid", "until")
        await fleet.apply(own(now + 2 * AHEAD, "else.example.com"))
        await told(fleet, "Tenant", "search", "WrongHost", f"issue one for {HOST}")
        ends = datetime.now(UTC) + AHEAD + timedelta(seconds=hung() / 10)
        await fleet.apply(own(ends))
        await told(fleet, "Tenant", "search", "Valid", "until")
        assert REGISTRY.get_sample_value(METRIC, {"namespace": "inference-gw", "secret": "own"}) == int(
            ends.timestamp()
        )
        await told(fleet, "Tenant", "search", "Expiring", "renew it")  # nothing has happened but that time passed
        await fleet.apply(own(now - timedelta(days=1)))
        await told(fleet, "Tenant", "search", "Expired", "renew it")
        await fleet.apply(own(now + 3 * AHEAD))
        await told(fleet, "Tenant", "search", "Valid", "until")
