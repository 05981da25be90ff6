"""The options of `tidegate serve` about registered models in MLflow."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from k8s_manager.runtime.settings import REGISTRY_EVERY, MlflowSettings

_registries = partial(typer.Option, rich_help_panel="Registered models in MLflow")
MlflowUrl = Annotated[
    str | None,
    _registries(
        metavar="URL",
        envvar="TIDEGATE_MLFLOW_URL",
        help="The MLflow server whose registered models models may name, such as http://mlflow.ml.svc:5000.",
    ),
]
MlflowTokenFile = Annotated[
    Path | None,
    _registries(envvar="TIDEGATE_MLFLOW_TOKEN_FILE", help="A file with the bearer token that it asks for."),
]
MlflowCaFile = Annotated[
    Path | None, _registries(envvar="TIDEGATE_MLFLOW_CA_FILE", help="The authorities for its certificate.")
]
MlflowEvery = Annotated[
    float,
    _registries(
        min=5, max=3600, envvar="TIDEGATE_MLFLOW_EVERY", help="Seconds between two reads of a registered model."
    ),
]

MlflowNames = Annotated[
    str,
    _registries(
        metavar="PATTERN",
        envvar="TIDEGATE_MLFLOW_NAMES",
        help="Which registered models a tenant's models may name, such as {tenant}.*; by default all.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """Where registered models are read."""

    mlflow_url: MlflowUrl = None
    mlflow_token_file: MlflowTokenFile = None
    mlflow_ca_file: MlflowCaFile = None
    mlflow_every: MlflowEvery = REGISTRY_EVERY
    mlflow_names: MlflowNames = "*"


def mlflow_settings(given: RegistryOptions) -> MlflowSettings | None:
    """Return the server of registered models; None without one."""
    url = given.mlflow_url
    if not url:
        return None
    if not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", url):
        raise typer.BadParameter(f"--mlflow-url {url!r} is no URL, such as http://mlflow.ml.svc:5000")
    if not re.fullmatch(r"[^{}*]*(\{tenant\}([^-a-z0-9{}*][^{}*]*)?)?\*?", given.mlflow_names):
        said = f"--mlflow-names {given.mlflow_names!r} is no pattern, such as {{tenant}}.* or search_*"
        raise typer.BadParameter(f"{said}; after {{tenant}} comes what no tenant's name has, such as a dot")
    if given.mlflow_names.endswith("{tenant}*"):
        raise typer.BadParameter("--mlflow-names {tenant}* is that of other tenants too; write {tenant}.*")
    return MlflowSettings(url, given.mlflow_token_file, given.mlflow_ca_file, given.mlflow_every, given.mlflow_names)
