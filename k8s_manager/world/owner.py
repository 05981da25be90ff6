"""The owner of an object: the gateway, tenant or model whose labels it carries. Pure."""

from collections.abc import Mapping

from istio_templates import names

Owner = tuple[str, str, str]  # gateway, tenant and model as in the labels; what does not apply is empty


def owner_of(labels: Mapping[str, str]) -> Owner:
    """Return whose an object is, by its labels."""
    tenant = labels.get(names.TENANT, "")
    return ("" if tenant else labels.get(names.GATEWAY, ""), tenant, labels.get(names.MODEL, ""))
