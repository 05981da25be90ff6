"""Brokers of Kafka as an operator writes them: `HOST:PORT`, several with commas. Pure."""

import re

from istio_templates.errors import Invalid, Problem
from istio_templates.host_port import joined, parted

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_IPV6 = re.compile(r"[0-9a-fA-F:.]{2,45}")


def wrong_brokers(text: str) -> list[Problem]:
    """Return what is wrong with a list of brokers."""
    right = "is no broker; give HOST:PORT, several with commas"
    return [Problem("kafka", f"{broker[:80]!r} {right}") for broker in text.split(",") if not is_host_port(broker)]


def require_brokers(text: str) -> str:
    """Return a list of brokers; raises `Invalid` where it is none."""
    if problems := wrong_brokers(text):
        raise Invalid("the brokers", problems)
    return text


def is_host_port(text: str) -> bool:
    """Tell whether a text is `HOST:PORT`."""
    host, port = parted(text)
    return is_host(host) and _is_port(port) and joined(host, port) == text


def is_host(host: str) -> bool:
    """Tell whether a text is a host name or an address."""
    return bool(_HOST.fullmatch(host) or (":" in host and _IPV6.fullmatch(host)))


def _is_port(port: str) -> bool:
    return bool(re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 65_536)
