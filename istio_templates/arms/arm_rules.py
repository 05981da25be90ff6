"""Rules of a VirtualService that stand before the weighted one of a route, and how both are named.

A rule's name is all that Envoy's access log and an EnvoyFilter see of it: TENANT.MODEL.NUMBER for the weights,
TENANT.MODEL.NUMBER.ARM for a match, TENANT.MODEL.NUMBER~sticky where a hash decides between several versions.
"""

import re
from typing import Any

from istio_templates.arms.arm_facts import ArmFacts

Manifest = dict[str, Any]
STICKY = "~sticky"
"""Ends the name of a rule with several versions of which a hash chooses one. An EnvoyFilter for such names never meets
a rule with one version, of which it would make a rule without any."""
_ARM = re.compile(r"[^.]+\.[^.]+\.[0-9]+\.([^.~]+)")


def arm_rule(rule: Manifest, arm: ArmFacts, target: Manifest) -> Manifest:
    """Return a route's weighted `rule` for the requests of an arm, with the arm's version as the only destination:
    copies are made of requests that the weights divide."""
    tests = {header: {how: text} for header, how, text in arm.tests}
    matches = [{**match, "headers": {**match.get("headers", {}), **tests}} for match in rule["match"]]
    destinations = [{"destination": target, "weight": 100}]
    kept = {name: value for name, value in rule.items() if name != "mirrors"}
    name = f"{rule['name'].removesuffix(STICKY)}.{arm.name}"
    return {**kept, "name": name, "match": matches, "route": destinations}


def arm_of(name: str) -> str:
    """Return the arm of whose requests a rule is, by its name; empty where it is the weighted one of a route."""
    found = _ARM.fullmatch(name)
    return found[1] if found else ""


def cookie_test(name: str, value: str) -> tuple[str, str, str]:
    """Return the test of a cookie: Istio knows headers only, and a browser sends all cookies in one."""
    return "cookie", "regex", f"(.*; ?)?{re.escape(name)}={re.escape(value)}(;.*)?"
