"""EnvoyFilter: the filters that check callers, inserted once into the listeners of a gateway.

They stand before the slots, so that a request without a right uses up no limit. istiod applies EnvoyFilters by
ascending priority, and what it inserts before the router later comes nearer to the router: the priority here is lower
than that of the slots, whichever of both was made first.

A filter of an access slot has no default and waits for its configuration without end: until then its listener takes no
request, so that none passes unchecked.

Source of the shapes: Envoy's HeaderMutation v3, SetFilterState v3 and ExtensionConfigSource.
"""

from itertools import product

from istio_templates import names
from istio_templates.callers.access_slot import AUTHN, CALLERS
from istio_templates.callers.caller_rules import RBAC
from istio_templates.callers.matchers import ROUTE_STATE
from istio_templates.callers.refusals import refusals
from istio_templates.callers.token_check import JWT_AUTHN
from istio_templates.envoy_filter import before_router, discovered, merged_into_listeners, of_gateway
from istio_templates.facts import GatewayPool, Manifest

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_PRIORITY = 5
_TYPES = {AUTHN: JWT_AUTHN, CALLERS: RBAC}
_SLOTS = range(names.ACCESS_SLOTS)
_INNER = [header(slot) for header in (names.verified_caller_header, names.verified_token_header) for slot in _SLOTS]
"""Headers that stand between filters; neither a client nor a model has a part in them."""


def access_insertion(pool: GatewayPool) -> Manifest:
    """Return the EnvoyFilter that has a gateway check callers. It never changes."""
    prefix = f"tidegate.{pool.name}.access"
    slots = [
        discovered(names.access_ecds_name(pool, slot, part), kind, "0s")
        for slot in _SLOTS
        for part, kind in _TYPES.items()
    ]
    filters = [
        {"name": f"{prefix}.forged", "typed_config": _mutation(_removed(*_spellings(names.CALLER_HEADER), *_INNER))},
        {"name": f"{prefix}.route", "typed_config": _route_state()},
        *slots,
        {"name": f"{prefix}.verified", "typed_config": _mutation([*_verified_caller(), *_removed(*_INNER)])},
    ]
    patches = [*map(before_router, filters), merged_into_listeners({"local_reply_config": {"mappers": refusals()}})]
    return of_gateway(pool, names.access_insertion_object(pool), _PRIORITY, patches)


def _spellings(header: str) -> list[str]:
    """Return a header's name in all ways that a model server may take for it: to many `_` is `-`."""
    words = header.split("-")
    ways = product("-_", repeat=len(words) - 1)
    return ["".join(part for pair in zip(words, (*way, ""), strict=True) for part in pair) for way in ways]


def _mutation(mutations: list[Manifest]) -> Manifest:
    kind = f"{_FILTERS}.header_mutation.v3.HeaderMutation"
    return {"@type": kind, "mutations": {"request_mutations": mutations}}


def _removed(*headers: str) -> list[Manifest]:
    return [{"remove": header} for header in headers]


def _verified_caller() -> list[Manifest]:
    """Return what gives a model the caller: at most one slot has verified one."""
    return [_copied(names.verified_caller_header(slot), names.CALLER_HEADER) for slot in _SLOTS]


def _copied(from_header: str, to_header: str) -> Manifest:
    header = {"key": to_header, "value": f"%REQ({from_header})%"}
    return {"append": {"header": header, "append_action": "ADD_IF_ABSENT"}}


def _route_state() -> Manifest:
    text = {"text_format_source": {"inline_string": "%METADATA(ROUTE:istio:config)%"}}
    state = {"object_key": ROUTE_STATE, "factory_key": "envoy.string", "format_string": text}
    return {"@type": f"{_FILTERS}.set_filter_state.v3.Config", "on_request_headers": [state]}
