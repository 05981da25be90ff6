"""Parts of a matcher tree as Envoy's RBAC filter takes it: inputs, trees, predicates and actions.

Source of the shapes: xds.type.matcher.v3.Matcher; Envoy's RBAC Action v3.
"""

import re
from collections.abc import Iterable

from istio_templates.facts import Manifest

_TYPE = "type.googleapis.com"
ROUTE_STATE = "tidegate.route"
"""The filter state that says which route took a request, as Istio names it."""
POLICY = "tidegate-"
"""What the names of policies begin with, so that they differ from those of an operator's own AuthorizationPolicy."""


def by_header(name: str) -> Manifest:
    """Return the input that reads a request header; several of one name are joined by commas."""
    kind = f"{_TYPE}/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    return {"name": name, "typed_config": {"@type": kind, "header_name": name}}


def by_route() -> Manifest:
    """Return the input that reads which route took a request."""
    kind = f"{_TYPE}/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
    return {"name": "route", "typed_config": {"@type": kind, "key": ROUTE_STATE}}


def action(policy: str, allowed: bool) -> Manifest:
    """Return what is done with a request at the end of a tree; a refusal is named in Envoy's response code details."""
    name = f"{POLICY}{policy}"
    config = {"@type": f"{_TYPE}/envoy.config.rbac.v3.Action", "name": name, "action": "ALLOW" if allowed else "DENY"}
    return {"action": {"name": name, "typed_config": config}}


def allow(policy: str) -> Manifest:
    """Return the end of a tree at which a request may pass."""
    return action(policy, True)


def deny(policy: str) -> Manifest:
    """Return the end of a tree at which a request is refused."""
    return action(policy, False)


def exactly(of: Manifest, found: dict[str, Manifest], otherwise: Manifest) -> Manifest:
    """Return the branch that looks an input up; without entries there is nothing to look up."""
    return _tree(of, "exact_match_map", found, otherwise) if found else otherwise


def beginning(of: Manifest, found: dict[str, Manifest], otherwise: Manifest) -> Manifest:
    """Return the branch that looks up what an input begins with."""
    return _tree(of, "prefix_match_map", found, otherwise) if found else otherwise


def _tree(of: Manifest, kind: str, found: dict[str, Manifest], otherwise: Manifest) -> Manifest:
    return {"matcher": {"matcher_tree": {"input": of, kind: {"map": found}}, "on_no_match": otherwise}}


def where(predicate: Manifest, then: Manifest, otherwise: Manifest) -> Manifest:
    """Return the branch that asks one question."""
    matchers = [{"predicate": {"single_predicate": predicate}, "on_match": then}]
    return {"matcher": {"matcher_list": {"matchers": matchers}, "on_no_match": otherwise}}


def contains(of: Manifest, text: str) -> Manifest:
    """Return the question whether an input contains a text."""
    return {"input": of, "value_match": {"contains": text}}


def ends_with_one_of(of: Manifest, names: Iterable[str]) -> Manifest:
    """Return the question whether what follows the last slash of an input is one of some names."""
    regex = f".*/({'|'.join(map(re.escape, names))})"
    return {"input": of, "value_match": {"safe_regex": {"google_re2": {}, "regex": regex}}}


def is_there(of: Manifest) -> Manifest:
    """Return the question whether an input is there and not empty, whatever bytes it has."""
    return {"input": of, "value_match": {"safe_regex": {"google_re2": {}, "regex": r"\C+"}}}
