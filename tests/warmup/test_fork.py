import os
import subprocess
import sys

import pytest

SEEN = "import os, sys; print('grpc' in sys.modules, os.environ.get('GRPC_ENABLE_FORK_SUPPORT'))"


@pytest.mark.parametrize("module", ["warmup.clients", "k8s_manager.cli.warmup_commands.warmup", "k8s_manager.manager"])
def test_whoever_imports_grpc_through_us_has_its_fork_handlers_off(module):
    """With them on, Envoys that a process starts while it serves others crash now and then."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}
    command = [sys.executable, "-c", f"import {module}; {SEEN}"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "0"]
