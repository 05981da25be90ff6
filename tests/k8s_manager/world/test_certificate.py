"""What is told of certificates that are absent, broken, for others, or at their end; and when it is told next."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.store import Store
from k8s_manager.world.certificate import AHEAD, Certificate, due, read, validity
from tests.features.test_drift import Hand
from tests.support.certificates import secret

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
PLACE = ("gw", "search")
USES = {PLACE: ("search.example.com",)}
HOSTS = ("search.example.com",)


@pytest.mark.parametrize("key", ["tls.crt", "cert"])
def test_a_certificate_is_read_with_its_end_and_its_hosts(key):
    found = read(secret(NOW + timedelta(days=60), "Search.example.com", "*.models.example.com", key=key))
    assert found and found.since and found.since < NOW
    hosts = ("search.example.com", "*.models.example.com")
    assert found == Certificate(NOW + timedelta(days=60), hosts, found.since)


@pytest.mark.parametrize(
    "data", [None, {}, {"tls.crt": ""}, {"tls.crt": "%%%"}, {"tls.crt": "aGVsbG8="}, {"tls.crt": 7}]
)
def test_what_is_no_certificate_is_none(data):
    assert read({"kind": "Secret", "metadata": {}, "data": data}) is None


def test_a_certificate_that_a_parser_chokes_on_is_none():
    found = secret(NOW + AHEAD, "search.example.com")
    pem = base64.b64decode(found["data"]["tls.crt"]).decode()
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert der.count(bytes.fromhex("a003020102")) == 1  # version 3, written as 2
    odd = base64.b64encode(der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"))).decode()
    text = f"-----BEGIN CERTIFICATE-----\n{odd}\n-----END CERTIFICATE-----\n"
    assert read({**found, "data": {"tls.crt": base64.b64encode(text.encode()).decode()}}) is None


@pytest.mark.parametrize("years", [1, 9999])
def test_a_certificate_at_the_end_of_the_calendar_is_told_as_any_other(years):
    found = {PLACE: Certificate(datetime(years, 1, 2, tzinfo=UTC), HOSTS)}
    assert validity(USES, found, NOW).reason == ("Expired" if years == 1 else "Valid")
    assert (due({ObjectKey("Tenant", "", "search"): USES}, found, NOW) is None) == (years == 1)


@pytest.mark.parametrize(
    "found, reason, said",
    [
        ({}, "Absent", "Secret gw/search does not exist; create it with a certificate for search.example.com"),
        ({PLACE: None}, "Unreadable", "no readable certificate under tls.crt or cert"),
        ({PLACE: Certificate(NOW, HOSTS)}, "Expired", "expired at 2026-11-22 03:00 UTC; renew it"),
        ({PLACE: Certificate(NOW + AHEAD, HOSTS)}, "Expiring", "expires at 2026-12-06 03:00 UTC; renew it"),
        (
            {PLACE: Certificate(NOW + 2 * AHEAD, ("*.example.org", "other.example.com"))},
            "WrongHost",
            "is for *.example.org, other.example.com; issue one for search.example.com",
        ),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(found, reason, said):
    condition = validity(USES, found, NOW)
    assert (condition.holds, condition.reason) == (False, reason)
    assert said in condition.message


def test_the_worst_is_the_reason_and_all_are_named():
    other = ("gw", "ads")
    found = {PLACE: Certificate(NOW + timedelta(days=1), HOSTS), other: Certificate(NOW - timedelta(days=1), HOSTS)}
    condition = validity({**USES, other: HOSTS}, found, NOW)
    assert condition.reason == "Expired"
    assert "gw/search" in condition.message and "gw/ads" in condition.message


def test_a_good_one_is_told_with_its_end_and_who_uses_none_is_told_nothing():
    found = {PLACE: Certificate(NOW + 2 * AHEAD, ("*.example.com",))}
    assert validity(USES, found, NOW).message == "all certificates are valid until 2026-12-20 03:00 UTC at least"
    assert validity({}, found, NOW) is None


def test_a_wildcard_is_for_one_label_and_a_claimed_wildcard_needs_itself():
    found = {PLACE: Certificate(NOW + 2 * AHEAD, ("*.example.com",))}
    assert validity({PLACE: ("a.b.example.com",)}, found, NOW).reason == "WrongHost"
    assert validity({PLACE: ("*.example.com",)}, found, NOW).reason == "Valid"


def test_the_next_word_is_due_when_one_begins_to_end_and_when_it_has():
    used = {ObjectKey("Tenant", "", "search"): USES}
    ends = NOW + timedelta(days=20)
    found = {PLACE: Certificate(ends, HOSTS), ("gw", "unused"): Certificate(NOW + timedelta(hours=1), HOSTS)}
    assert due(used, found, NOW) == timedelta(days=6).total_seconds()
    assert due(used, found, ends - AHEAD) == AHEAD.total_seconds()
    assert due(used, found, ends) is None


def test_of_a_secret_only_certificates_are_kept():
    store = Store(("Secret",), Hand())
    found = secret(NOW, "search.example.com")
    copied = {"kubectl.kubernetes.io/last-applied-configuration": str(found["data"])}
    store.put({**found, "metadata": {**found["metadata"], "uid": "u", "resourceVersion": "1", "annotations": copied}})
    assert store.get(ObjectKey("Secret", "gw", "search"))["metadata"].keys() == {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
    }
    assert store.get(ObjectKey("Secret", "gw", "search"))["data"].keys() == {"tls.crt"}
