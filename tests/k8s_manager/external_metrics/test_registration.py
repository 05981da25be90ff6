"""The certificate and the APIService: made once, alike for all managers, renewed in time, and never another owner's."""

import asyncio
import base64
import logging
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from istio_templates.facts import ObjectKey
from k8s_manager.autoscaling.api_service import API_SERVICE, api_service_state
from k8s_manager.external_metrics.tls_material import (
    AUTHORITY_LEFT,
    AUTHORITY_VALID,
    LEFT,
    OVERLAP,
    SKEW,
    VALID,
    is_issued_by,
    material_in,
    renewed,
    secret_of,
)
from tests.k8s_manager.external_metrics.conftest import HOST, SERVICE

NOW = datetime(2026, 11, 30, 7, tzinfo=UTC)
SECRET = ObjectKey("Secret", *SERVICE)
THEIRS = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": API_SERVICE.name},
    "spec": {
        "service": {"namespace": "keda", "name": "keda-operator-metrics-apiserver"},
        "group": "external.metrics.k8s.io",
    },
}


async def published(metrics) -> str:
    return base64.b64decode((await metrics.client.get(API_SERVICE))["spec"]["caBundle"]).decode()


async def test_the_api_service_has_the_authority_that_all_managers_serve_by(metrics):
    assert await published(metrics) == await metrics.trusted()
    live = await metrics.client.get(API_SERVICE)
    assert live["spec"]["service"] == {"namespace": SERVICE[0], "name": SERVICE[1], "port": 443}
    assert api_service_state(live, SERVICE).is_ours


async def test_a_look_that_finds_all_in_line_writes_nothing(metrics, fleet):
    before = fleet.writes()
    await metrics.parts.registration.register()
    assert fleet.writes() == before


async def test_the_certificate_is_renewed_while_the_listener_serves(metrics):
    metrics.decide()
    place = metrics.parts.listener._place.secret
    metrics.clock.ahead = LEFT - VALID - timedelta(minutes=1)
    await metrics.client.delete(place)
    await metrics.parts.registration.register()
    await metrics.parts.listener.refresh()
    before = material_in(await metrics.client.get(place))
    async with metrics.session(metrics.authority) as session:
        assert (await metrics.ask(session))[0] == 200
        metrics.clock.ahead = timedelta()
        await metrics.parts.registration.register()
        await metrics.parts.listener.refresh()
        after = material_in(await metrics.client.get(place))
        assert after.bundle == before.bundle and after.certificate != before.certificate
        assert (await metrics.ask(session))[0] == 200
    async with metrics.session(metrics.authority) as session:
        assert (await metrics.ask(session))[0] == 200
    assert await serial(metrics) == after.served.serial_number


async def test_an_authority_is_replaced_without_a_moment_of_distrust(metrics):
    """A client that trusts what the APIService says at any time reaches the listener."""
    metrics.decide()
    first = await published(metrics)
    metrics.clock.ahead = AUTHORITY_VALID - AUTHORITY_LEFT + timedelta(minutes=1)
    seen = [first]
    for _ in range(6):
        await metrics.parts.registration.register()
        await metrics.parts.listener.refresh()
        trusted = await published(metrics)
        served = metrics.parts.listener._material
        assert any(is_issued_by(served.served, each) for each in material_of(trusted)), "the API server distrusts it"
        if trusted != seen[-1]:
            seen.append(trusted)
        metrics.clock.ahead += OVERLAP + SKEW
    assert [text.count("BEGIN CERTIFICATE") for text in seen] == [1, 2, 1]
    assert first not in seen[-1] and first in seen[1]


async def serial(metrics) -> int:
    """Return the number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cadata=await metrics.trusted())
    _, writer = await asyncio.open_connection("127.0.0.1", metrics.port, ssl=context, server_hostname=HOST)
    found = writer.get_extra_info("peercert")
    writer.close()
    return int(found["serialNumber"], 16)


def material_of(bundle: str):
    return x509.load_pem_x509_certificates(bundle.encode())


async def test_an_api_service_of_another_owner_is_not_touched(metrics, fleet, caplog):
    await metrics.client.delete(API_SERVICE)
    await fleet.apply(THEIRS, manager="helm")
    before = await metrics.client.get(API_SERVICE)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await metrics.parts.registration.register()
    assert (await metrics.client.get(API_SERVICE))["metadata"]["resourceVersion"] == before["metadata"][
        "resourceVersion"
    ]
    said = [record.getMessage() for record in caplog.records if "APIService" in record.getMessage()]
    assert len(said) == 1
    assert "keda/keda-operator-metrics-apiserver" in said[0] and "writer: keda or tidegate" in said[0]


async def test_an_api_service_that_another_owner_takes_over_is_not_taken_back(metrics, fleet):
    taken = {**THEIRS, "spec": {**THEIRS["spec"], "caBundle": ""}}
    await fleet.apply(taken, manager="helm")
    await metrics.parts.registration.register()
    state = api_service_state(await metrics.client.get(API_SERVICE), SERVICE)
    assert not state.is_ours and state.holder == "keda/keda-operator-metrics-apiserver"


async def test_an_api_service_that_is_gone_is_made_again(metrics):
    await metrics.client.delete(API_SERVICE)
    await metrics.parts.registration.register()
    assert await published(metrics) == await metrics.trusted()


def test_a_fresh_secret_is_complete_and_stays_as_it_is():
    made = renewed(None, HOST, "", NOW)
    assert material_in(secret_of(made, SECRET, {})) == made
    assert renewed(made, HOST, made.bundle, NOW + timedelta(days=1)) == made


@pytest.mark.parametrize("file", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_a_secret_that_was_damaged_is_made_again(file):
    secret = secret_of(renewed(None, HOST, "", NOW), SECRET, {})
    for text in (None, "", "bm90aGluZw==", "not Base64"):
        damaged = {**secret, "data": {**secret["data"], file: text}}
        assert material_in(damaged) is None


def test_a_key_of_another_certificate_is_not_taken():
    secret, other = (secret_of(renewed(None, HOST, "", NOW), SECRET, {}) for _ in range(2))
    assert material_in({**secret, "data": {**secret["data"], "tls.key": other["data"]["tls.key"]}}) is None


def test_another_service_gets_another_certificate_by_the_same_authority():
    made = renewed(None, HOST, "", NOW)
    after = renewed(made, "other.elsewhere.svc", made.bundle, NOW)
    assert after.bundle == made.bundle and after.certificate != made.certificate


def test_nothing_is_served_beyond_its_end():
    """A manager that looks once a day, for ten years, with an API server that has always the last bundle."""
    material, trusted, now = None, "", NOW
    for _ in range(3_650):
        material = renewed(material, HOST, trusted, now)
        trusted = material.bundle
        assert material.served.not_valid_after_utc > now + timedelta(days=1)
        issuers = [each for each in material.authorities if is_issued_by(material.served, each)]
        assert issuers and issuers[0].not_valid_after_utc > material.served.not_valid_after_utc
        now += timedelta(days=1)


STATES = [
    (None, False, "", True),
    (THEIRS, False, "keda/keda-operator-metrics-apiserver", False),
    ({"metadata": {"name": "x"}, "spec": {}}, False, "the API server itself", False),
    ({"metadata": {"name": "x"}, "spec": None, "status": 1}, False, "the API server itself", False),
]


@pytest.mark.parametrize("live, is_ours, holder, may_be_written", STATES)
def test_who_holds_the_metrics(live, is_ours, holder, may_be_written):
    found = api_service_state(live, SERVICE)
    assert (found.is_ours, found.holder, found.may_be_written) == (is_ours, holder, may_be_written)


def test_an_authority_is_used_when_it_is_published_and_the_old_one_stays_for_a_while():
    end = NOW + AUTHORITY_VALID - AUTHORITY_LEFT
    first = renewed(None, HOST, "", NOW)
    fresh = renewed(first, HOST, first.bundle, end - timedelta(days=1))
    both = renewed(fresh, HOST, fresh.bundle, end)
    assert len(both.authorities) == 2 and both.certificate == fresh.certificate
    assert renewed(both, HOST, fresh.bundle, end + timedelta(days=7)) == both, "the API server does not know it yet"
    used = renewed(both, HOST, both.bundle, end + timedelta(days=7))
    assert used.bundle == both.bundle and is_issued_by(used.served, both.authorities[0])
    just_before = end + timedelta(days=7) + OVERLAP - timedelta(minutes=1)
    assert renewed(used, HOST, used.bundle, just_before) == used, "a manager may serve the last certificate still"
    last = renewed(used, HOST, used.bundle, just_before + timedelta(minutes=1))
    assert last.authorities == both.authorities[:1] and last.certificate == used.certificate
