"""Routes of several models on one host, and whether anything but age orders them. Pure.

Istio puts the routes of all VirtualServices of a host into one table, by their age; only what matches everything goes
last. So which of two models gets a request that fits both would turn round when one of them is made again.
"""

from collections.abc import Iterator

from istio_templates.documents import ModelSpec
from istio_templates.documents.route import Route

Headers = frozenset[tuple[str, str]]
RouteMatch = tuple[str, Headers]  # a host and the headers that a request must carry
Holder = tuple[str, str]  # namespace and name of a Model


class OrderedRoutes:
    """The routes of accepted models by host and path."""

    def __init__(self) -> None:
        self._at: dict[str, dict[str, dict[Headers, tuple[Holder, bool]]]] = {}
        self._below: dict[str, dict[str, set[str]]] = {}

    def add(self, route: Route, is_last: bool, holder: Holder) -> None:
        """Add a route; `is_last` where Istio puts it behind all others."""
        host, headers = match_of(route)
        self._at.setdefault(host, {}).setdefault(route.path, {})[headers] = (holder, is_last)
        for folder in _above(route.path):
            self._below.setdefault(route.host, {}).setdefault(folder, set()).add(route.path)

    def against(self, route: Route, is_last: bool) -> Iterator[tuple[str, Holder]]:
        """Yield (path, model) of the routes that may fit one request with this one and are not ordered."""
        if is_last:
            return
        host, asked = match_of(route)
        held, below = self._at.get(host, {}), self._below.get(host, {}).get(route.path, ())
        for path in (route.path, *_above(route.path), *sorted(below)):
            for headers, (holder, goes_last) in held.get(path, {}).items():
                if not goes_last and may_meet(headers, asked):
                    yield path, holder


def match_of(route: Route) -> RouteMatch:
    """Return which requests a route matches, its path left out."""
    return (route.host, frozenset(route.headers.items()))


def may_meet(one: Headers, other: Headers) -> bool:
    """Tell whether a request can carry both sets of headers: no header is asked for with two values."""
    first, second = dict(one), dict(other)
    return all(first[name] == second[name] for name in first.keys() & second.keys())


def is_fallback(route: Route, model: ModelSpec) -> bool:
    """Tell whether a proxy tries a route after all others of its host: a bare `/` that matches nothing else.

    Rules for a model's matches are not tried last: they stand where the age of the model puts them.
    """
    return (
        not model.traffic_matches
        and route.path == "/"
        and not route.headers
        and len({other.host for other in model.routes}) == 1
    )


def _above(path: str) -> list[str]:
    """Return the paths that contain a path, `/` included."""
    return [*folders(path), "/"] if path != "/" else []


def folders(path: str) -> list[str]:
    """Return the paths that contain a path, `/` left out."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(2, len(parts))]
