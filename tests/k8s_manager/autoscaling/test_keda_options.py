"""What `tidegate serve` takes for KEDA's way to the manager."""

import pytest
import typer

from istio_templates.facts import DEFAULT_KEDA, KedaFacts
from k8s_manager.cli.server_commands import serve_options
from k8s_manager.cli.server_commands.serve import _keda

DEFAULT = serve_options.MetricOptions()


def test_the_defaults_are_those_that_are_rendered_without_a_manager():
    assert _keda(DEFAULT.keda_url, DEFAULT.keda_auth) == DEFAULT_KEDA


def test_an_address_and_a_trigger_authentication_are_taken():
    found = _keda("https://tidegate.example.com:8443/api/", "TriggerAuthentication/of-tidegate")
    assert found == KedaFacts("https://tidegate.example.com:8443/api", ("TriggerAuthentication", "of-tidegate"))


@pytest.mark.parametrize("url", ["tidegate:80", "ftp://a", "http://a?b=c", "http://a#b", "http://u@a", "http://a b"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(typer.BadParameter, match="--keda-url"):
        _keda(url, DEFAULT.keda_auth)


@pytest.mark.parametrize("auth", ["tidegate", "Secret/tidegate", "TriggerAuthentication/", "TriggerAuthentication/a/b"])
def test_what_is_no_trigger_authentication_is_refused(auth):
    with pytest.raises(typer.BadParameter, match="--keda-auth"):
        _keda(DEFAULT.keda_url, auth)
