"""EnvoyFilter: the limits of a gateway, in slots.

With the gateway, one EnvoyFilter inserts N empty filters before the router, once. What a filter limits comes
from an EnvoyFilter of its own (`EXTENSION_CONFIG`), which Istio pushes by ECDS: a changed limit drains no
listener, rebuilds no route table, and refills no bucket but those of its own slot. A bucket on the route, the
usual way, starts full again whenever anything else on the port changes.

Source of the shapes: Envoy's LocalRateLimit v3 and ExtensionConfigSource; Istio's EnvoyFilter v1alpha3.
"""

import hashlib
import json
from functools import lru_cache

from istio_templates import names
from istio_templates.facts import Bucket, GatewayPool, LimitKey, Manifest, SlotFacts

LOCAL_RATE_LIMIT = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
HTTP_CONNECTION_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
MAX_CONNECTION_AGE = "600s"
SAFE_CONNECTION_AGE = "http1_safe_max_connection_duration"
_HCM = "envoy.filters.network.http_connection_manager"
_ROUTER = "envoy.filters.http.router"
_API_VERSION = "networking.istio.io/v1alpha3"
_UNLIMITED = {"max_tokens": 4294967295, "tokens_per_fill": 4294967295, "fill_interval": "1s"}
# Envoy counts what it would refuse: a bucket that is always empty counts everything (but its first request).
COUNTING = Bucket(1, 1_000_000, 1, 0)
_REVISION_BITS = 20
_BY_MODEL = {
    "metadata": {
        "descriptor_key": "vs",
        "metadata_key": {"key": "istio", "path": [{"key": "config"}]},
        "source": "ROUTE_ENTRY",
    }
}


def insertion(pool: GatewayPool, slots: int = names.SLOTS) -> Manifest:
    """Return the EnvoyFilter that puts all slots of a gateway before the router. It never changes."""
    patches = [_insert(pool, slot) for slot in range(slots)]
    if pool.managed is not None:
        patches.append(_connection_age())
    return _envoy_filter(pool, names.insertion_object(pool), 10, patches)


def with_abrupt_ends(obj: Manifest) -> Manifest:
    """Return the insertion of a gateway's slots as releases before the safe end of connections rendered it."""
    patches = [_abrupt(patch) for patch in obj["spec"]["configPatches"]]
    return {**obj, "spec": {**obj["spec"], "configPatches": patches}}


def _abrupt(patch: Manifest) -> Manifest:
    value = patch["patch"].get("value") or {}
    settings = value.get("typed_config") or {}
    if SAFE_CONNECTION_AGE not in settings:
        return patch
    rest = {name: inner for name, inner in settings.items() if name != SAFE_CONNECTION_AGE}
    return {**patch, "patch": {**patch["patch"], "value": {**value, "typed_config": rest}}}


def slot_config(slot: SlotFacts) -> Manifest:
    """Return the EnvoyFilter with the limits of one slot; without limits it lets everything pass."""
    patch = {
        "applyTo": "EXTENSION_CONFIG",
        "match": {"context": "GATEWAY"},
        "patch": {
            "operation": "ADD",
            "value": {"name": names.ecds_name(slot.pool, slot.index), "typed_config": _limiter(slot)},
        },
    }
    return _envoy_filter(slot.pool, names.slot_object(slot.pool, slot.index), 20, [patch])


def endpoint_stats(pool: GatewayPool) -> list[Manifest]:
    """Return the EnvoyFilter by which a gateway counts what it sends to each replica, where that is asked for."""
    if not pool.endpoint_stats:
        return []
    value = {"track_cluster_stats": {"per_endpoint_stats": True}}
    patch = {
        "applyTo": "CLUSTER",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "MERGE", "value": value},
    }
    return [_envoy_filter(pool, names.endpoint_stats_object(pool), 10, [patch])]


def revision(slot: SlotFacts) -> int:
    """Return the figure that a probe shows for this slot: its number and a hash of its limits."""
    limits = [[str(key), bucket.tokens, bucket.interval, bucket.burst, bucket.enforced] for key, bucket in slot.limits]
    digest = hashlib.sha256(json.dumps(limits).encode()).digest()
    return (slot.index + 1 << _REVISION_BITS) + (int.from_bytes(digest[:4], "big") >> 32 - _REVISION_BITS)


def slot_of_revision(value: int) -> int | None:
    """Return the slot that shows a revision; None where no slot of ours does."""
    slot = (value >> _REVISION_BITS) - 1
    return slot if 0 <= slot < names.SLOTS else None


def limits_of(obj: Manifest) -> tuple[tuple[LimitKey, Bucket], ...]:
    """Return the limits in a slot's EnvoyFilter as it was read back; what is not ours in it is left out."""
    try:
        limiter = obj["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
        enforced = int(limiter["filter_enforced"]["default_value"]["numerator"])
        return tuple(
            _limit_of(descriptor, enforced)
            for descriptor in limiter.get("descriptors", [])
            if descriptor["entries"][0]["key"] == "vs"
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return ()


def gateways_of_slots(obj: Manifest) -> frozenset[str]:
    """Return the gateways of whose slots an EnvoyFilter adds one, by the name that Envoy knows it by."""
    found = set()
    for patch in (obj.get("spec") or {}).get("configPatches") or []:
        name = str(((patch.get("patch") or {}).get("value") or {}).get("name", ""))
        parts = names.ECDS_NAME.fullmatch(name)
        if patch.get("applyTo") == "EXTENSION_CONFIG" and parts:
            found.add(parts[1])
    return frozenset(found)


def _limit_of(descriptor: Manifest, enforced: int) -> tuple[LimitKey, Bucket]:
    bucket = _bucket(descriptor["token_bucket"], enforced)
    route, *parts = [str(entry["value"]) for entry in descriptor["entries"]]
    if bucket == COUNTING:
        parts = [names.REQUESTS]
    return (LimitKey(route, parts[0] if parts else ""), bucket)


def _bucket(raw: Manifest, enforced: int) -> Bucket:
    interval = int(raw["fill_interval"].removesuffix("s"))
    bucket = Bucket(int(raw["tokens_per_fill"]), interval, int(raw["max_tokens"]), enforced)
    if min(bucket.tokens, bucket.interval) <= 0 or not 0 <= enforced <= 100:
        raise ValueError(f"{raw} is no bucket of ours")
    return bucket


def _envoy_filter(pool: GatewayPool, name: str, priority: int, patches: list[Manifest]) -> Manifest:
    obj = names.manifest(_API_VERSION, "EnvoyFilter", name, pool.namespace, names.owned_by_gateway(pool))
    selector = {"labels": dict(pool.selector)}
    return {**obj, "spec": {"priority": priority, "workloadSelector": selector, "configPatches": patches}}


def _insert(pool: GatewayPool, slot: int) -> Manifest:
    return {
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "GATEWAY",
            "listener": {"filterChain": {"filter": {"name": _HCM, "subFilter": {"name": _ROUTER}}}},
        },
        "patch": {
            "operation": "INSERT_BEFORE",
            "value": {
                "name": names.ecds_name(pool, slot),
                "config_discovery": {
                    "config_source": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"},
                    "default_config": {
                        "@type": LOCAL_RATE_LIMIT,
                        "stat_prefix": _stat_prefix(slot),
                        "token_bucket": _UNLIMITED,
                    },
                    "type_urls": [LOCAL_RATE_LIMIT],
                },
            },
        },
    }


def _connection_age() -> Manifest:
    """End connections now and then: a client on one long connection sees one gateway pod's share only.

    An HTTP/1.1 connection ends with an answer that says so, and never while it is idle: the client's next request
    would be lost (https://github.com/envoyproxy/envoy/issues/34356; in Envoy since 1.33).
    """
    return {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": _HCM}}}},
        "patch": {
            "operation": "MERGE",
            "value": {
                "typed_config": {
                    "@type": HTTP_CONNECTION_MANAGER,
                    "common_http_protocol_options": {"max_connection_duration": MAX_CONNECTION_AGE},
                    SAFE_CONNECTION_AGE: True,
                }
            },
        },
    }


def _stat_prefix(slot: int) -> str:
    return f"tidegate_slot_{slot:02d}"


def _limiter(slot: SlotFacts) -> Manifest:
    rate_limits: list[Manifest] = [{"actions": [_BY_MODEL]}]
    if any(_cluster_of(key) for key, _ in slot.limits):
        rate_limits.append({"actions": [_BY_MODEL, {"destination_cluster": {}}]})
    descriptors = [_descriptor(key, bucket) for key, bucket in slot.limits]
    if slot.pool.probe:
        probe = {"header_name": names.PROBE_HEADER, "descriptor_key": "probe"}
        rate_limits.append({"x_ratelimit_option": "DRAFT_VERSION_03", "actions": [{"request_headers": probe}]})
        shown = revision(slot)
        descriptors.append(
            {
                "entries": [{"key": "probe", "value": slot.pool.probe}],
                "token_bucket": {"max_tokens": shown, "tokens_per_fill": shown, "fill_interval": "1s"},
            }
        )
    retry_after = {"header": {"key": "retry-after", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "@type": LOCAL_RATE_LIMIT,
        "stat_prefix": _stat_prefix(slot.index),
        "token_bucket": _UNLIMITED,
        "always_consume_default_token_bucket": False,
        "filter_enabled": _per_cent(100),
        "filter_enforced": _per_cent(min((bucket.enforced for _, bucket in slot.limits), default=100)),
        "rate_limited_as_resource_exhausted": True,
        "response_headers_to_add": [retry_after],
        "rate_limits": rate_limits,
        "descriptors": descriptors,
    }


def _per_cent(numerator: int) -> Manifest:
    return {"default_value": {"numerator": numerator, "denominator": "HUNDRED"}}


def _cluster_of(key: LimitKey) -> str:
    """Return the cluster to which a limit is confined; empty where it is not."""
    part = key.part
    return "" if part == names.REQUESTS else part


@lru_cache(maxsize=65_536)
def _descriptor(key: LimitKey, bucket: Bucket) -> Manifest:
    """Return the descriptor of one limit; made once, since a slot is written anew for each of hundreds."""
    entries = [{"key": "vs", "value": key.route}]
    if cluster := _cluster_of(key):
        entries.append({"key": "destination_cluster", "value": cluster})
    return {"entries": entries, "token_bucket": _token_bucket(bucket)}


def _token_bucket(bucket: Bucket) -> Manifest:
    return {
        "max_tokens": bucket.burst,
        "tokens_per_fill": bucket.tokens,
        "fill_interval": f"{bucket.interval}s",
    }
