"""What documents say of a registry that others run (MLflow): which of its models a Model takes its versions from, and
from where a version was read."""

from typing import Annotated

from pydantic import Field

from istio_templates.documents.fields import Spec

Alias = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")]
"""A name that is moved from version to version, such as `champion`."""
RegisteredName = Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_ .()@+-]*\S)?$")]
"""The name of a registered model; without quotes, since it stands in a query."""
RegisteredNumber = Annotated[str, Field(min_length=1, max_length=9, pattern=r"^[1-9][0-9]*$")]


class RegistrySource(Spec):
    """The registered model in MLflow whose versions are those of this Model. Which server that is, only the platform
    says (`tidegate serve --mlflow-url`)."""

    name: RegisteredName


class RegistryOrigin(Spec):
    """From where a version was read: the registered model, and its version there."""

    name: RegisteredName
    version: RegisteredNumber
