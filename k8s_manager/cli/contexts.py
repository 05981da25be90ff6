"""Contexts: managers that people call, by name, in one private file, as a kubeconfig has clusters.

current-context: production
contexts:
- name: production
  server: https://tidegate.example.com
  token-file: /home/anna/.tidegate-token      or token: ...
  namespace: search
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from istio_templates.errors import Invalid, Problem

FILE, CONTEXT, NAMESPACE = "TIDEGATE_CONFIG", "TIDEGATE_CONTEXT", "TIDEGATE_NAMESPACE"
HIDDEN = "REDACTED"


@dataclass(frozen=True, slots=True)
class Context:
    """A manager's address, how the caller authenticates, and the default namespace."""

    name: str
    server: str = ""
    token: str = ""
    token_file: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Contexts:
    """All contexts by name, and which one is current."""

    current: str = ""
    named: Mapping[str, Context] = field(default_factory=dict)

    def one(self, name: str) -> Context:
        """Return a context; raises `Invalid`."""
        if not name:
            raise Invalid("contexts", [Problem("", "none is current; name one, or see tidegate config use-context")])
        if name not in self.named:
            said = f"there is no such context; there are: {', '.join(self.named) or 'none'}; see tidegate config"
            raise Invalid(f"context {name}", [Problem("", said)])
        return self.named[name]

    def with_context(self, context: Context) -> "Contexts":
        """Return these and one that is new, or replaces that of its name."""
        return replace(self, named={**self.named, context.name: context})

    def without(self, name: str) -> "Contexts":
        """Return these without one; raises `Invalid`."""
        gone = self.one(name).name
        left = {known: context for known, context in self.named.items() if known != gone}
        return replace(self, named=left, current="" if self.current == gone else self.current)


def file() -> Path:
    """Return where contexts are kept."""
    if named := os.environ.get(FILE):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "tidegate" / "config"


def load() -> Contexts:
    """Return the contexts in the file; raises `Invalid`, never with its text: there may be a token in it."""
    try:
        raw = yaml.safe_load(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise _wrong(f"cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise _wrong("is no YAML") from None
    if raw is None:
        return Contexts()
    if not isinstance(raw, dict) or not isinstance(raw.get("contexts") or [], list):
        raise _wrong("holds no contexts")
    named = [_context(item) for item in raw.get("contexts") or []]
    return Contexts(str(raw.get("current-context") or ""), {context.name: context for context in named})


def _context(raw: Any) -> Context:
    keys = {f.name.replace("_", "-"): f.name for f in fields(Context)}
    is_right = isinstance(raw, dict) and raw.get("name") and all(isinstance(value, str) for value in raw.values())
    if not is_right or raw.keys() - keys.keys():
        raise _wrong(f"holds a context that has other fields than the texts {', '.join(keys)}")
    return Context(**{keys[name]: value for name, value in raw.items()})


def _wrong(said: str) -> Invalid:
    return Invalid(f"the contexts in {file()}", [Problem("", f"{said}; mend the file, or set {FILE}")])


def save(contexts: Contexts) -> None:
    """Write the file, for its owner alone, in one step."""
    place = file()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=".config-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            yaml.safe_dump(shown(contexts, raw=True), out, sort_keys=False)
        Path(name).replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def shown(contexts: Contexts, raw: bool) -> dict[str, Any]:
    """Return contexts as the file has them; tokens only if `raw`."""
    body = [
        {
            f.name.replace("_", "-"): HIDDEN if f.name == "token" and not raw else value
            for f in fields(Context)
            if (value := getattr(context, f.name))
        }
        for context in contexts.named.values()
    ]
    return {"current-context": contexts.current, "contexts": body}


def current() -> Context | None:
    """Return the context that is named by --context, the environment or the file; raises `Invalid`."""
    found = load()
    name = os.environ.get(CONTEXT) or found.current
    return found.one(name) if name else None


def namespace() -> str:
    """Return the namespace of a command: that of -n, of the environment or of the context; empty where none is."""
    if given := os.environ.get(NAMESPACE):
        return given
    context = current()
    return context.namespace if context else ""
