"""What `tidegate serve` takes for webhooks of releases."""

from pathlib import Path

import pytest
import typer

from istio_templates.text.web_address import HostPattern
from k8s_manager.cli.server_commands.serve import _webhook_hosts
from k8s_manager.cli.server_commands.serve_options import ReleaseOptions

KEY = Path("key")


def test_hosts_are_separated_by_commas():
    found = _webhook_hosts(
        ReleaseOptions(webhook_hosts="gate.example.com, http://*.ci.svc:8080,", webhook_key_file=KEY)
    )
    assert found == (
        HostPattern("gate.example.com", "https", 443, False),
        HostPattern("ci.svc", "http", 8080, True),
    )
    assert _webhook_hosts(ReleaseOptions()) == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ReleaseOptions(webhook_hosts="gate.example.com"), "needs --webhook-key-file"),
        (ReleaseOptions(webhook_hosts="gate/x", webhook_key_file=KEY), "'gate/x' is no host to allow"),
    ],
)
def test_what_is_missing_or_wrong_is_said(options, said):
    with pytest.raises(typer.BadParameter, match=said):
        _webhook_hosts(options)
