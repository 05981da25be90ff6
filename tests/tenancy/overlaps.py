"""Attempts on other tenants' hosts and paths: documents that an attacker writes, and whether each may be accepted."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.documents import gateway, model, tenant

Object = dict

SEARCH, MAPS, IDNA = "search.models.example.com", "maps.models.example.com", "xn--bcher-kva.example.com"
API = "api.search.example.org"
OWNED = (SEARCH, MAPS, IDNA, API)


def route(host: str, path: str, **more) -> Object:
    return {"host": host, "path": path, "port": 8080, **more}


VICTIMS = [
    gateway(),
    tenant(
        "search",
        hosts=[
            {"name": SEARCH, "delegations": [{"path": "/ranking", "tenant": "ranking"}]},
            {"name": "*.search.example.org"},
        ],
    ),
    tenant("ranking"),
    tenant("maps", hosts=[{"name": MAPS}, {"name": IDNA}]),
    tenant("mallory"),
    model("ranker", "search", routes=[route(SEARCH, "/v1/rank"), route(SEARCH, "/v2/models/ranker")]),
    model("beta", "search", routes=[route(SEARCH, "/v1/beta", headers={"x-variant": "b"})]),
    model("api", "search", routes=[route(API, "/")]),
    model("first", "ranking", routes=[route(SEARCH, "/ranking/v1")]),
    model("tiles", "maps", routes=[route(MAPS, "/"), route(IDNA, "/v1")]),
    model("own", "mallory", routes=[route("mallory.models.example.com", "/")]),
]


@dataclass(frozen=True)
class Attempt:
    """A document, with a host of its own in a tenant of its own where it is one, and whether it does no harm."""

    document: Object
    harmless: bool


def _same(host: str) -> Iterator[str]:
    """Yield spellings that are, or could be taken for, a host or something around it."""
    first, _, rest = host.partition(".")
    yield from (host, host.upper(), host.title(), f"{host}.", f" {host}", f"{host}\t", f"{host}:8080", f"{host}:80.")
    yield from (f"*.{rest}", f"*.{rest.partition('.')[2]}", f"*.{rest}.", f"*.{rest.upper()}", "*.com", "*", "*.", ".")
    yield from (f"http://{host}", f"{host}/v1", f"user@{host}", f"{host}#", f"{host}?x", f"{host}\\", f"{host},b.com")
    yield from (f"{host}\r\nX-A: b", f"{host}\n", f"{host}\0", f"{host}\u200b", f"{host}\u00ad", f"\ufeff{host}")
    yield from (host.replace(".", "\u3002"), host.replace(".", "\uff0e"), host.replace(".", "..", 1), f".{host}")
    yield from (chr(ord(first[0]) + 0xFEE0) + host[1:], host.replace("e", "%65", 1), f"[{host}]", f"{host}%00.net")
    yield from (f"*{host}", f"**.{rest}", f"{first}*.{rest}", f"*.*.{rest}", f"(?i){host}", f"^{host}$", f"~{host}")


def _others(host: str) -> Iterator[str]:
    """Yield hosts that only look alike: nobody owns them."""
    first, _, rest = host.partition(".")
    yield from (f"{first}.net", f"x{host}.net", f"{host}.evil.net", f"{first}-{rest.replace('.', '-')}.net")
    yield from (f"{first}0.evil.net", f"*.{first}.evil.net")


_TAKEN = ("/v1/rank", "/v1", "/v1/rank/", "/v1/rank/x", "/v2/models/ranker", "/v2", "/v2/models", "/v2/models/ranker/a")
_BROKEN = (
    "//v1/rank", "/v1//rank", "/v1/./rank", "/v1/../v1/rank", "/v1/%72ank", "/v1%2frank", "/v1/rank?x", "/v1/rank#x",
    "v1/rank", "", "/v1/rank\r\n", "/v1/rank\0", "/v1/rank\u200b", "/v1\\rank", "/v1/rank ", "/v1/[r]ank",
)  # fmt: skip
_FREE = ("/v1/rank2", "/v1/ranker", "/v2/models/ranker2", "/v3", "/V1/rank", "/rankings", "/ranking.x", "/*")


def attempts() -> Iterator[Attempt]:
    """Yield all attempts, each with a name that no other has."""
    number = 0
    for host in OWNED:
        for claim in _same(host):
            number += 1
            yield Attempt(tenant(f"claim-{number}", claim), harmless=False)
        for claim in _others(host):
            number += 1
            yield Attempt(tenant(f"other-{number}", claim), harmless=True)
        for path in (*_TAKEN, *_BROKEN, *_FREE, "/"):
            number += 1
            yield Attempt(model(f"route-{number}", "mallory", routes=[route(host, path)]), harmless=False)
    yield from _inside(number)
    for path in ("/ranking", "/ranking/v1", "/ranking/v2", "/ranking/v1/x"):
        yield from _by(("mallory", "search"), path, harmless=False)
    for path in ("/", "/rankings", "/v1", "/v3", "/rank"):
        yield from _by(("mallory", "ranking"), path, harmless=False)


def _inside(number: int) -> Iterator[Attempt]:
    """Yield models of the same tenant: one path has one model, with headers or without."""
    for path in (*_TAKEN, *_BROKEN):
        number += 1
        yield Attempt(model(f"inner-{number}", "search", routes=[route(SEARCH, path)]), harmless=False)
    for path in _FREE:
        number += 1
        yield Attempt(model(f"inner-{number}", "search", routes=[route(SEARCH, path)]), harmless=True)
    for headers in ({"X-Variant": "b"}, {"x-VARIANT": "b"}):
        number += 1
        for path in ("/v1/rank", "/v1/beta", "/v1/beta/below", "/v1"):
            attempt = model(f"inner-{number}-{len(path)}", "search", routes=[route(SEARCH, path, headers=headers)])
            yield Attempt(attempt, harmless=False)
    number += 1
    other = model(f"inner-{number}", "search", routes=[route(SEARCH, "/v1/beta/below", headers={"x-variant": "c"})])
    yield Attempt(other, harmless=True)


def _by(tenants: tuple[str, ...], path: str, harmless: bool) -> Iterator[Attempt]:
    for name in tenants:
        spoken = "".join(letter if letter.isalnum() else "-" for letter in path).strip("-").lower() or "root"
        yield Attempt(model(f"guest-{name}-{spoken}", name, routes=[route(SEARCH, path)]), harmless)
