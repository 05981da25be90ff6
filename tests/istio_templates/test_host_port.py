import re
from pathlib import Path

import pytest

from collectors import endpoints, http
from istio_templates.host_port import joined, parted
from k8s_manager.cli.server_commands.serve import address
from scripts import structure

TEXTS = [
    ("127.0.0.1", "8080", "127.0.0.1:8080"),
    ("models.example.com", "80", "models.example.com:80"),
    ("::1", "8080", "[::1]:8080"),
    ("2001:db8::7", "443", "[2001:db8::7]:443"),
    ("", "8700", ":8700"),
]


@pytest.mark.parametrize("host, port, text", TEXTS)
def test_what_is_joined_is_parted_again(host, port, text):
    assert joined(host, port) == text
    assert parted(text) == (host, port)


@pytest.mark.parametrize(
    "text, host", [("::1", "::1"), ("[::1]", "::1"), ("host", "host"), ("2001:db8::7", "2001:db8::7")]
)
def test_a_text_without_a_port_is_all_host(text, host):
    assert parted(text) == (host, "")


def test_brackets_are_not_doubled():
    assert joined("[::1]", 80) == "[::1]:80"


def test_urls_options_and_statistics_take_ipv6():
    assert http.url("::1", 15020, "/x") == "http://[::1]:15020/x"
    assert address("[::1]:8700") == ("::1", 8700)
    line = 'envoy_cluster_endpoint_rq_total{envoy_endpoint_address="[fd00::7]:80"} 3'
    assert endpoints.parse(line) == {"fd00::7": 3}


# Pods of the standalone have addresses of 127/8; a route's host is a name; the name of a virtual host is a label.
APART = ("k8s_manager/standalone/translator", "k8s_manager/standalone/node", "k8s_manager/status/model_status.py")


@pytest.mark.parametrize("package", structure.PRODUCT)
def test_nothing_else_joins_an_address_with_a_port(package):
    join = re.compile(r"""\}:\{[^}]*(port|PORT)""")
    found = [
        str(file.relative_to(structure.ROOT))
        for file in sorted(Path(structure.ROOT / package).rglob("*.py"))
        if join.search(file.read_text())
    ]
    assert [name for name in found if not name.startswith((*APART, "istio_templates/host_port.py"))] == []
