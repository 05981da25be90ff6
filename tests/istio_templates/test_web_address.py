"""Addresses that documents may have the manager call, and those that are never called, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.text.web_address import forbidden_address, host_pattern, web_address

FORBIDDEN = [
    ("127.0.0.1", "loopback"),
    ("127.255.1.2", "loopback"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::127.0.0.1", "loopback"),
    ("2002:7f00:1::", "loopback"),
    ("64:ff9b::7f00:1", "loopback"),
    ("169.254.169.254", "metadata service of clouds"),
    ("::ffff:169.254.169.254", "metadata service of clouds"),
    ("64:ff9b::a9fe:a9fe", "metadata service of clouds"),
    ("fd00:ec2::254", "metadata service of AWS"),
    ("100.100.100.200", "metadata service of Alibaba Cloud"),
    ("168.63.129.16", "metadata service of Azure"),
    ("169.254.1.1", "link-local"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("224.0.0.1", "multicast"),
    ("ff02::1", "multicast"),
    ("0.0.0.0", "no address"),
    ("0.1.2.3", "no address"),
    ("::", "no address"),
    ("255.255.255.255", "reserved"),
    ("240.0.0.1", "reserved"),
    ("fec0::1", "reserved"),
]


@pytest.mark.parametrize(("address", "why"), FORBIDDEN)
def test_addresses_that_are_never_called(address, why):
    assert why in (forbidden_address(address) or "")


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "172.20.0.9", "203.0.113.9", "fd00::7", "2001:db8::1"])
def test_addresses_that_may_be_called(address):
    assert forbidden_address(address) is None


@given(st.ip_addresses(v=4, network="127.0.0.0/8") | st.ip_addresses(v=4, network="169.254.0.0/16"))
def test_no_spelling_in_ipv6_leads_past_the_rules(address):
    for prefix in ("::ffff:", "64:ff9b::"):
        assert forbidden_address(f"{prefix}{address}") == forbidden_address(str(address)) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gate.example.com", "write it like https://"),
        ("ftp://gate.example.com/", "no address to call"),
        ("https://user:secret@gate.example.com/", "without user"),
        ("https://gate.example.com/#part", "without user and fragment"),
        ("https://gate.example.com\\@evil.example.com/", "no address to call"),
        ("https://gate.example.com /", "no address to call"),
        ("https://gate.example.com/\n", "no address to call"),
        ("https:///releases", "no address to call"),
        ("https://gate.example.com:0/", "between 1 and 65535"),
        ("https://gate.example.com:70000/", "between 1 and 65535"),
        (f"https://gate.example.com/{'a' * 500}", "at most 500"),
        ("https://169.254.169.254/latest/meta-data", "is the metadata service of clouds, which nothing calls"),
        ("http://[::ffff:a9fe:a9fe]/", "is the metadata service"),
        ("https://[::1]:8443/", "is a loopback address"),
        ("https://[:::]/", "is no IPv6 address"),
        ("https://localhost:8443/", "a name of the machine itself"),
        ("https://LOCALHOST./", "a name of the machine itself"),
        ("https://api.localhost/", "a name of the machine itself"),
        ("http://metadata.google.internal/", "its cloud's metadata"),
        ("https://127.1/", "read in different ways"),
        ("https://2130706433/", "read in different ways"),
        ("https://0x7f.0.0.0x1/", "read in different ways"),
        ("https://0177.0.0.1/", "read in different ways"),
    ],
)
def test_what_is_no_address_to_call_is_rejected_with_the_reason(text, said):
    with pytest.raises(ValueError) as refused:
        web_address(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "address", "covers"),
    [
        ("gate.example.com", "https://gate.example.com/a?b=c", True),
        ("gate.example.com", "https://GATE.example.com./", True),
        ("gate.example.com", "http://gate.example.com/", False),
        ("gate.example.com", "https://gate.example.com:8443/", False),
        ("gate.example.com", "https://x.gate.example.com/", False),
        ("gate.example.com:8443", "https://gate.example.com:8443/", True),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("*.example.com", "https://gate.example.com.evil.com/", False),
        ("http://gate.ci.svc:8080", "http://gate.ci.svc:8080/x", True),
        ("http://gate.ci.svc:8080", "https://gate.ci.svc:8080/x", False),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("[fd00::7]", "https://[fd00::7]/", True),
    ],
)
def test_which_addresses_a_pattern_allows(pattern, address, covers):
    assert host_pattern(pattern).covers(web_address(address)) is covers


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "https://", "gate.example.com/path", "a b", "ftp://x", "x:0", "*.*.com"]
)
def test_what_is_no_pattern_is_rejected(text):
    with pytest.raises(ValueError, match=r"no host to allow|between 1 and"):
        host_pattern(text)
