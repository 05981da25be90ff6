"""Documents that words of the command line choose: KIND [NAME...] or KIND/NAME..., in a tenant or a namespace."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import typer

from istio_templates.errors import Invalid, Problem
from k8s_manager import client
from k8s_manager.cli import contexts
from k8s_manager.cli.connection import Connection
from k8s_manager.cli.kinds import OF_TENANTS, DocumentKind, is_kind, kind_named
from k8s_manager.cli.output import Object

NAMED_MODEL = "name it as TENANT/MODEL, or as MODEL with -n NAMESPACE"


@dataclass(frozen=True, slots=True)
class Selected:
    """A document, or without a name all of its kind."""

    kind: DocumentKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}".strip()


def chosen(words: Sequence[str]) -> list[Selected]:
    """Return what words choose; raises `BadParameter`."""
    if not words:
        raise typer.BadParameter(f"say what: {', '.join(kind.value for kind in DocumentKind)}")
    if "/" in words[0] and is_kind(words[0].partition("/")[0]):
        return [_slashed(word) for word in words]
    kinds = [kind_named(word) for word in words[0].split(",") if word]
    if len(words) > 1 and len(kinds) > 1:
        raise typer.BadParameter("names stand behind one kind; write KIND/NAME for several")
    return [Selected(kind, name) for kind in kinds for name in words[1:] or [""]]


def _slashed(word: str) -> Selected:
    kind, slash, name = word.partition("/")
    if not slash or not name:
        raise typer.BadParameter(f"{word!r} is not KIND/NAME, as the others are")
    return Selected(kind_named(kind), name)


def tenant_in(connection: Connection, namespace: str) -> str:
    """Return the tenant that lives in a namespace; raises `Invalid`."""
    if (tenant := _living_in(connection, namespace)) is not None:
        return tenant
    said = "is no tenant's that you may see; tidegate get tenants lists them with their namespaces"
    raise Invalid(f"namespace {namespace}", [Problem("", said)])


def owner_of_namespace(connection: Connection, namespace: str) -> str:
    """Return the tenant that lives in a namespace; the namespace's name where none is known that does."""
    return _living_in(connection, namespace) or namespace


def _living_in(connection: Connection, namespace: str) -> str | None:
    for tenant in connection.items("/v1/tenants"):
        if namespace in (namespace_of(tenant), tenant["metadata"]["name"]):
            return str(tenant["metadata"]["name"])
    return None


def namespace_of(tenant: Object) -> str:
    """Return the namespace of a tenant."""
    found = tenant.get("status", {}).get("namespace") or tenant["spec"].get("namespace")
    return str(found or tenant["metadata"]["name"])


def model_path(connection: Connection, name: str) -> str:
    """Return the path of a model that is named TENANT/MODEL, or MODEL in the selected namespace."""
    return path_of(connection, Selected(DocumentKind.MODEL, name))


def path_of(connection: Connection, selected: Selected, tenant: str | None = None) -> str:
    """Return the path of a document; `tenant` is whose model it is where its name does not say."""
    owner, slash, last = selected.name.rpartition("/")
    if selected.kind not in OF_TENANTS:
        if slash and selected.kind is not DocumentKind.OVERRIDE:
            raise typer.BadParameter(f"{selected.name!r} is no name of a {selected.kind.value}; those have no slash")
        return client.path_of(selected.kind.value, selected.name)
    if not slash:
        owner = tenant or (tenant_in(connection, here) if (here := contexts.namespace()) else "")
    if not owner or not last or "/" in owner:
        word = selected.kind.value.upper()
        raise typer.BadParameter(f"{selected.name!r} is not TENANT/{word}; {NAMED_MODEL.replace('MODEL', word)}")
    return client.path_of(selected.kind.value, f"{owner}/{last}")


def tenants(connection: Connection, tenant: str | None, everywhere: bool) -> Iterator[str]:
    """Yield the tenants whose models are selected: one, that of the namespace, or all that the caller may see."""
    here = "" if everywhere else contexts.namespace()
    if tenant and not everywhere:
        yield tenant
    elif here:
        yield tenant_in(connection, here)
    else:
        yield from (str(found["metadata"]["name"]) for found in connection.items("/v1/tenants"))


def found(connection: Connection, selected: Selected, tenant: str | None, everywhere: bool) -> Iterator[Object]:
    """Yield the documents that are chosen."""
    return (obj for _, obj in owned(connection, selected, tenant, everywhere))


def owned(
    connection: Connection, selected: Selected, tenant: str | None, everywhere: bool
) -> Iterator[tuple[str, Object]]:
    """Yield the documents that are chosen, each model with its tenant and the others with an empty name."""
    if selected.name:
        if everywhere:
            raise typer.BadParameter("a document is not read by its name in all namespaces; leave out -A or the name")
        path = path_of(connection, selected, tenant)
        owner = path.split("/")[3] if selected.kind in OF_TENANTS else ""
        yield owner, connection.call("GET", path)
    elif selected.kind in OF_TENANTS:
        for owner in tenants(connection, tenant, everywhere):
            for obj in connection.items(client.path_of(selected.kind.value, f"{owner}/")):
                yield owner, obj
    else:
        here = "" if everywhere or selected.kind is not DocumentKind.OVERRIDE else contexts.namespace()
        for obj in connection.items(client.path_of(selected.kind.value, "")):
            if not here or obj["metadata"].get("namespace") == here:
                yield "", obj


def kind_of(obj: Object) -> DocumentKind:
    """Return the kind of a document that was answered."""
    return kind_named(str(obj["kind"]))
