"""What an access slot retains of tenants that nothing renders now, while their routes stay.

A rejected document leaves its objects as they are; but an access slot is shared by tenants. So the parts of those whose
document is rejected are taken from the live object: else their routes would stand open.
"""

from collections.abc import Collection
from typing import Any

from istio_templates import names
from istio_templates.callers.caller_rules import RBAC
from istio_templates.callers.token_check import JWT_AUTHN
from istio_templates.facts import Manifest

_RULES, _MATCHER = "filter_state_rules", "matcher"


def is_access_slot(obj: Manifest) -> bool:
    """Tell whether an object holds the contents of an access slot."""
    return obj["kind"] == "EnvoyFilter" and _kinds(obj) == [JWT_AUTHN, RBAC]


def retains(live: Manifest, namespaces: Collection[str]) -> bool:
    """Tell whether a live access slot checks the callers of one of the tenants in `namespaces`."""
    try:
        return is_access_slot(live) and bool(_prefixes(_config(live, 1), namespaces))
    except (KeyError, TypeError, AttributeError):
        return False


def with_retained_access(wanted: Manifest, live: Manifest, namespaces: Collection[str]) -> Manifest:
    """Return an access slot with what the live one has of the tenants in `namespaces`, where it has nothing of them
    itself; what cannot be read in the live one is left out."""
    if not namespaces or not is_access_slot(wanted) or not is_access_slot(live):
        return wanted
    try:
        prefixes = _prefixes(_config(live, 1), namespaces) - _prefixes(_config(wanted, 1), namespaces)
        return _joined(wanted, live, tuple(sorted(prefixes))) if prefixes else wanted
    except (KeyError, TypeError, AttributeError):
        return wanted


def _joined(wanted: Manifest, live: Manifest, prefixes: tuple[str, ...]) -> Manifest:
    check, rules = _config(wanted, 0), _config(wanted, 1)
    was_check, was_rules = _config(live, 0), _config(live, 1)
    requires = {route: found for route, found in _requires(was_check).items() if route.startswith(prefixes)}
    providers = {name: was_check["providers"][name] for found in requires.values() for name in _providers_of(found)}
    if requires:
        state = {**was_check[_RULES], "requires": {**requires, **_requires(check)}}
        check = {**check, "providers": {**providers, **check.get("providers", {})}, _RULES: state}
    kept = {prefix: found for prefix, found in _map(was_rules).items() if prefix in prefixes}
    rules = {**rules, _MATCHER: _with_map(was_rules[_MATCHER], {**kept, **_map(rules)})}
    patches = [
        {**patch, "patch": {**patch["patch"], "value": {**patch["patch"]["value"], "typed_config": config}}}
        for patch, config in zip(wanted["spec"]["configPatches"], (check, rules), strict=True)
    ]
    return {**wanted, "spec": {**wanted["spec"], "configPatches": patches}}


def _kinds(obj: Manifest) -> list[Any]:
    patches = (obj.get("spec") or {}).get("configPatches") or []
    values = [(patch.get("patch") or {}).get("value") or {} for patch in patches if isinstance(patch, dict)]
    return [(value.get("typed_config") or {}).get("@type") for value in values]


def _config(obj: Manifest, part: int) -> Manifest:
    config: Manifest = obj["spec"]["configPatches"][part]["patch"]["value"]["typed_config"]
    return config


def _requires(check: Manifest) -> Manifest:
    found: Manifest = check[_RULES]["requires"] if _RULES in check else {}
    return found


def _providers_of(requirement: Manifest) -> list[str]:
    several = requirement["requires_any"]["requirements"] if "requires_any" in requirement else [requirement]
    return [one["provider_name"] for one in several if "provider_name" in one]


def _map(rules: Manifest) -> Manifest:
    found: Manifest = rules[_MATCHER]["matcher_tree"]["prefix_match_map"]["map"] if _MATCHER in rules else {}
    return found


def _with_map(matcher: Manifest, entries: Manifest) -> Manifest:
    tree = matcher["matcher_tree"]
    return {**matcher, "matcher_tree": {**tree, "prefix_match_map": {"map": entries}}}


def _prefixes(rules: Manifest, namespaces: Collection[str]) -> set[str]:
    return {prefix for prefix in map(names.routes_of, namespaces) if prefix in _map(rules)}
