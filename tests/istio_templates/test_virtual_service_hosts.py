import pytest

from istio_templates.virtual_service import routes_of

HOSTS = ["a.example.com", "a.example.com.au", "b.example.com"]
READ = [
    (r"(?i)a\.example\.com(:[0-9]+)?", {"a.example.com"}),
    (r"a\.example\.com(:[0-9]+)?", {"a.example.com"}),
    (r"(?i)a\.example\.com\.au(:[0-9]+)?", {"a.example.com.au"}),
    (r"(?i)b\.example\.com", {"b.example.com"}),
]


@pytest.mark.parametrize("regex, hosts", READ)
def test_the_host_of_a_route_is_read_back_from_this_release_and_the_one_before(regex, hosts):
    http = [{"match": [{"authority": {"regex": regex}, "uri": {"prefix": "/x/"}}]}]
    obj = {"metadata": {"name": "x", "namespace": "search"}, "spec": {"hosts": HOSTS, "http": http}}
    assert {host for host, _, _, _ in routes_of(obj)} == hosts
