"""What a VirtualService does to requests and answers on their way, as the fields of a route."""

from pydantic import ValidationError

from istio_templates.documents.route import Cors, Rewrite
from istio_templates.facts import Manifest

Found = tuple[Manifest, list[str]]
"""A field's value, empty where it cannot be expressed, and notes on it."""


def rewrite_of(uri: Manifest, rewrite: Manifest) -> Found:
    """Return the rewrite of a route by what its match takes: Istio replaces that, with or without its last slash."""
    notes = [f"{name} is not expressed" for name in sorted(map(str, rewrite.keys() - {"uri", "authority"}))]
    out: Manifest = {"host": rewrite["authority"]} if rewrite.get("authority") else {}
    if new := rewrite.get("uri"):
        taken, bare = str(uri.get("prefix", "/")), str(new).rstrip("/") or "/"
        if "exact" in uri:
            out["path"] = new
        elif taken.endswith("/") and not str(new).endswith("/"):
            notes.append(f"uri is not expressed: {new} stands for {taken} with its slash, and what follows is joined")
        else:
            out["prefix"] = bare
            if str(new).endswith("/") and not taken.endswith("/"):
                notes.append(f"uri made two slashes of {taken}/; a route makes one")
    try:
        return (out if out and Rewrite.model_validate(out) else {}), notes
    except ValidationError as error:
        return {}, [*notes, f"is not expressed: {_first(error)}"]


def cors_of(policy: Manifest) -> Found:
    """Return the CORS policy of a route."""
    out = {name: value for name, value in policy.items() if name not in ("allowOrigin", "unmatchedPreflights")}
    if old := policy.get("allowOrigin"):
        out.setdefault("allowOrigins", [{"exact": origin} for origin in old])
    try:
        Cors.model_validate(out)
    except ValidationError as error:
        return {}, [f"is not expressed: {_first(error)}"]
    if policy.get("unmatchedPreflights") == "IGNORE":
        return out, []
    return out, ["let preflights of other origins through to the model; the gateway answers them now"]


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    place = ".".join(map(str, found["loc"]))
    said = found["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said
