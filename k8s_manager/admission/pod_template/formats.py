"""The forms of Kubernetes' names and values: each function returns what is wrong with a text, None where nothing is.

The rules of k8s.io/apimachinery/pkg/util/validation.
"""

import ipaddress
import re

from istio_templates.documents.fields import LABEL

_SUBDOMAIN = re.compile(rf"{LABEL}(\.{LABEL})*")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ENV = re.compile(r"[ -<>-~]+")  # older than 1.32, Kubernetes takes less
_FILE_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_CHARACTERS = "lower-case letters, digits and '-'"


def dns_label(text: str) -> str | None:
    """A DNS-1123 label."""
    if len(text) <= 63 and re.fullmatch(LABEL, text):
        return None
    return f"{text!r} is no DNS label; use {_CHARACTERS}, at most 63, beginning and ending with a letter or digit"


def dns_1035_label(text: str) -> str | None:
    """A DNS-1035 label: what a Service may be called."""
    if text[:1].isdigit():
        return f"a Service is called {text!r}, and its name may not begin with a digit; begin with a letter"
    return dns_label(text)


def dns_subdomain(text: str) -> str | None:
    """A DNS-1123 subdomain: what most objects may be called."""
    if len(text) <= 253 and _SUBDOMAIN.fullmatch(text):
        return None
    return f"{text!r} is no name of an object; use {_CHARACTERS} and '.', at most 253"


def qualified_name(text: str) -> str | None:
    """The key of a label or annotation: a name, perhaps after a domain and a slash."""
    prefix, slash, name = text.rpartition("/")
    if len(name) <= 63 and _NAME.fullmatch(name) and (not slash or dns_subdomain(prefix) is None):
        return None
    return f"{text!r} is no key; use letters, digits, '-', '_' and '.', at most 63, perhaps after a domain and '/'"


def label_value(text: str) -> str | None:
    """The value of a label."""
    if text == "" or (len(text) <= 63 and _NAME.fullmatch(text)):
        return None
    return f"{text!r} is no value of a label; use letters, digits, '-', '_' and '.', at most 63"


def port_name(text: str) -> str | None:
    """The name of a container's port (IANA_SVC_NAME)."""
    if len(text) <= 15 and _PORT.fullmatch(text) and re.search("[a-z]", text):
        return None
    return f"{text!r} is no name of a port; use {_CHARACTERS}, at most 15, with a letter and no '-' beside another"


def env_name(text: str) -> str | None:
    """The name of an environment variable."""
    return None if _ENV.fullmatch(text) else f"{text!r} is no name of a variable; use letters, digits and '_'"


def file_key(text: str) -> str | None:
    """A key of a ConfigMap or a Secret."""
    if len(text) <= 253 and _FILE_KEY.fullmatch(text) and text != "." and not text.startswith(".."):
        return None
    return f"{text!r} is no key of a ConfigMap or Secret; use letters, digits, '-', '_' and '.'"


def header_name(text: str) -> str | None:
    """The name of a header that a probe sends."""
    return None if _HEADER.fullmatch(text) else f"{text!r} is no name of a header; use letters, digits and '-'"


def ip_address(text: str) -> str | None:
    """An IPv4 or IPv6 address; Kubernetes still takes leading zeros."""
    try:
        ipaddress.ip_address(_ZEROS.sub("", text) if ":" not in text else text)
    except ValueError:
        return f"{text!r} is no IP address; write one such as 10.0.0.1"
    return None


def inner_path(text: str) -> str | None:
    """A path that stays below where it begins."""
    if text and not text.startswith("/") and ".." not in text.split("/"):
        return None
    return f"{text!r} is no path below the volume; leave out a leading '/' and '..'"


def port_number(number: int) -> str | None:
    """The number of a port."""
    return None if 1 <= number <= 65535 else f"{number} is no port; give one from 1 to 65535"
