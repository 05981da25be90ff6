"""What a check of callers costs each request, with a thousand callers of one tenant, and how much is written for them.

The peer is what Envoy itself offers for keys: `api_key_auth` with as many of them, in the same run.
"""

import json
import random
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.support.report import Figure, plain
from benchmarks.support.request_cost import REQUEST, cost_of, numbered_envoy, proxied
from benchmarks.support.route_limit import POOL, with_slots
from istio_templates import names
from istio_templates.callers.access_facts import AuthenticationFacts, CallerFacts, TenantAccess
from istio_templates.catalog import render_access, render_access_slot
from istio_templates.envoy_filter import before_router, of_gateway
from istio_templates.facts import Manifest
from k8s_manager.standalone.translator.snapshot import Snapshot
from tests.support.callers import Signer
from tests.support.envoy import EnvoyUnderTest

CALLERS = 1000
MODELS = 100
SENDING = 200
"""So many of the callers send requests in turn."""
API_KEY_AUTH = "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth"


@dataclass(frozen=True, slots=True)
class Setup:
    """EnvoyFilters of a gateway, the requests that are sent to it, and the status of its answers."""

    filters: tuple[Manifest, ...]
    requests: tuple[bytes, ...]
    status: int = 200


async def run(quick: bool) -> list[Figure]:
    """Send the same requests through each setup, in changing order; compare CPU time, not the clock."""
    rounds, requests = (2, 1_000) if quick else (7, 6_000)
    setups, taken = _setups(), dict[tuple[str, str], list[float]]()
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            model, gateway = [
                await stack.enter_async_context(numbered_envoy(Path(folder), number)) for number in (0, 1)
            ]
            await model.load(_snapshot(model, Setup((), ()), None))
            for _ in range(rounds):
                for mode, name in random.sample(
                    [(m, n) for m in ("direct", "proxied") for n in setups], 2 * len(setups)
                ):
                    setup = setups[name]
                    await gateway.load(_snapshot(gateway, setup, model if mode == "proxied" else None))
                    assert not gateway.ads.rejections, gateway.ads.rejections[0].message[-500:]
                    cost = await cost_of(gateway, setup.requests, requests, setup.status)
                    taken.setdefault((mode, name), []).append(cost)
    return [*_sizes(), *(figure for mode in ("direct", "proxied") for figure in _figures(mode, taken))]


def _figures(mode: str, taken: Mapping[tuple[str, str], list[float]]) -> list[Figure]:
    none = median(taken[mode, "nothing checked"])
    return [
        plain(f"{mode}: CPU of a request, {name}", f"{median(found):.1f} us ({median(found) / none:.3f} of none)")
        for (of, name), found in sorted(taken.items())
        if of == mode
    ]


def _sizes() -> list[Figure]:
    slot = _slot(_access(Signer("tidegate/search", "search")))
    several = _slot(_access(Signer("tidegate/search", "search"), frozenset(f"m{number}" for number in range(10))))
    insertion = render_access(POOL)[0]
    sizes = {
        f"the access slot of {CALLERS} callers of all models": slot,
        f"the access slot of {CALLERS} callers of ten models each": several,
        "the filters that check callers, once for a gateway": insertion,
    }
    return [plain(f"size of {what}", f"{len(json.dumps(obj)) / 1000:.1f} kB") for what, obj in sizes.items()]


def _setups() -> dict[str, Setup]:
    signer = Signer("tidegate/search", "search")
    tokens = [signer.token(sub=f"caller-{number}", jti=f"id-{number}") for number in range(SENDING)]
    checked = (*_slots(_access(signer)), *render_access(POOL))
    neighbour = (*_slots(replace(_access(signer), tenant="ads", namespace="ads", models=())), *render_access(POOL))
    return {
        "nothing checked": Setup((), (REQUEST,)),
        f"a token of one of {CALLERS} callers": Setup(checked, tuple(map(_with_token, tokens))),
        "of a neighbour whose callers are not checked": Setup(neighbour, (REQUEST,)),
        "no token, refused": Setup(checked, (REQUEST,), 401),
        "a caller without a right, refused": Setup(checked, (_with_token(signer.token(sub="ghost")),), 403),
        f"peer: one of {CALLERS} keys of api_key_auth": Setup(
            (_peer(),), tuple(_with_token(f"key-{number}") for number in range(SENDING))
        ),
    }


def _with_token(token: str) -> bytes:
    return REQUEST.removesuffix(b"\r\n") + f"authorization: Bearer {token}\r\n\r\n".encode()


def _access(signer: Signer, models: frozenset[str] | None = None) -> TenantAccess:
    callers = tuple(CallerFacts(f"caller-{number}", models) for number in range(CALLERS))
    served = [(f"m{number}", names.identity("search", f"m{number}").route) for number in range(MODELS)]
    routes = (("ranker", names.identity("search", "ranker").route), *served)
    return TenantAccess("search", "search", AuthenticationFacts((signer.facts(),), callers), routes)


def _slot(access: TenantAccess) -> Manifest:
    return render_access_slot(POOL, names.access_slot(access.namespace), (access,))[0]


def _slots(access: TenantAccess) -> list[Manifest]:
    own = names.access_slot(access.namespace)
    return [
        obj
        for slot in range(names.ACCESS_SLOTS)
        for obj in render_access_slot(POOL, slot, (access,) if slot == own else ())
    ]


def _peer() -> Manifest:
    """Return what puts `api_key_auth` with as many keys before the router."""
    credentials = [{"key": f"key-{number}", "client": f"caller-{number}"} for number in range(CALLERS)]
    config = {"@type": API_KEY_AUTH, "credentials": credentials, "key_sources": [{"header": "authorization"}]}
    return of_gateway(POOL, "peer", 5, [before_router({"name": "peer", "typed_config": config})])


def _snapshot(envoy: EnvoyUnderTest, setup: Setup, model: EnvoyUnderTest | None) -> Snapshot:
    """Return a gateway with all slots, whose route answers itself or leads to a model."""
    made = with_slots(envoy, {}, {"ranker": "/"}, more=setup.filters)
    return made if model is None else proxied(made, model)
