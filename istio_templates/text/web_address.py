"""Addresses on the web that a document may have the manager call: how they are written, and which are never called.

The manager stands inside the cluster and reaches what its tenants do not: services on its own loopback, the metadata
service of the cloud with the node's credentials. So no name of a document leads there, whatever it resolves to.
"""

import ipaddress
import re
from dataclasses import dataclass

MOST_ADDRESS = 500
"""Characters of an address."""
PORTS = {"https": 443, "http": 80}
_LABEL = r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:.]+\]"
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST})(:(?P<port>[0-9]{{1,5}}))?(?P<rest>[/?][!-\"$-~]*)?", re.IGNORECASE
)
_PATTERN = re.compile(
    rf"((?P<scheme>https?)://)?(?P<any>\*\.)?(?P<host>{_HOST})(:(?P<port>[0-9]{{1,5}}))?", re.IGNORECASE
)
_METADATA = {
    ipaddress.ip_address(text): name
    for text, name in (
        ("169.254.169.254", "clouds"),
        ("fd00:ec2::254", "AWS"),
        ("fd20:ce::254", "Google Cloud"),
        ("100.100.100.200", "Alibaba Cloud"),
        ("192.0.0.192", "Oracle Cloud"),
        ("168.63.129.16", "Azure"),
    )
}
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""IPv6 networks whose last four bytes are the IPv4 address that is reached (NAT64)."""
_NAMES = ("localhost", "metadata", "metadata.google.internal", "instance-data")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An address in its parts: `host` is a name in lower case or an IP address without brackets."""

    text: str
    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host that may be called: itself, or with `covers_below` every name below it; by one scheme, at one port."""

    host: str
    scheme: str
    port: int
    covers_below: bool

    def covers(self, address: WebAddress) -> bool:
        """Tell whether an address is one of those that are meant."""
        if (address.scheme, address.port) != (self.scheme, self.port):
            return False
        return address.host.endswith(f".{self.host}") if self.covers_below else address.host == self.host


def web_address(text: str) -> WebAddress:
    """Return the parts of an address; `ValueError` for one that is none, or that leads where nothing may call."""
    found = _ADDRESS.fullmatch(text) if len(text) <= MOST_ADDRESS else None
    if found is None:
        raise ValueError(
            f"{text[:80]!r} is no address to call; write it like https://gate.example.com/releases, of at most "
            f"{MOST_ADDRESS} characters, without user and fragment"
        )
    scheme = found["scheme"].lower()
    address = WebAddress(text, scheme, _host(found["host"]), _port(found["port"], scheme, text))
    if (flaw := _host_flaw(address.host)) is not None:
        raise ValueError(f"{address.host} {flaw}; name another host")
    return address


def host_pattern(text: str) -> HostPattern:
    """Return what `gate.example.com`, `*.example.com`, `gate.example.com:8443` or `http://gate.ci.svc:8080` allows;
    `ValueError` where it is none. Plain http only where it says so; a port that is not the scheme's has to be named."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text[:80]!r} is no host to allow; write it like gate.example.com or http://gate.ci.svc:8080"
        )
    scheme = (found["scheme"] or "https").lower()
    return HostPattern(_host(found["host"]), scheme, _port(found["port"], scheme, text), found["any"] is not None)


def forbidden_address(text: str) -> str | None:
    """Return why an IP address is never called, as the end of a sentence; None where it may be."""
    address = _reached(ipaddress.ip_address(text))
    if address in _METADATA:
        return f"is the metadata service of {_METADATA[address]}"
    if address.is_unspecified or (isinstance(address, ipaddress.IPv4Address) and int(address) < 2**24):
        return "is no address of a host"
    for name, holds in (
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("reserved", address.is_reserved or getattr(address, "is_site_local", False)),
    ):
        if holds:
            return f"is a {name} address"
    return None


def _reached(address: Address) -> Address:
    """Return the address that is reached: IPv6 has several ways to write one of IPv4."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    is_translated = any(address in network for network in _TRANSLATED)
    is_compatible = 2 < int(address) < 2**32
    if inner is None and (is_translated or is_compatible):
        inner = ipaddress.IPv4Address(int(address) & (2**32 - 1))
    return inner or address


def _host_flaw(host: str) -> str | None:
    if host in _NAMES or host.endswith(".localhost"):
        return "is a name of the machine itself or of its cloud's metadata, which nothing calls"
    try:
        flaw = forbidden_address(host)
    except ValueError:
        if ":" in host:
            return "is no IPv6 address"
        last = host.rpartition(".")[2]
        is_number = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
        return "ends in a number and is no IP address, which programs read in different ways" if is_number else None
    return None if flaw is None else f"{flaw}, which nothing calls"


def _host(text: str) -> str:
    return text.lower().strip("[]").removesuffix(".")


def _port(text: str | None, scheme: str, whole: str) -> int:
    port = PORTS[scheme] if text is None else int(text)
    if not 1 <= port <= 65535:
        raise ValueError(f"{whole[:80]!r} has a port that is not between 1 and 65535")
    return port
