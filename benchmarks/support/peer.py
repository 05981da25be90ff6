"""The usual way to limit a route, as examples show it: a bucket on the route itself. What benchmarks stand beside."""

from istio_templates.facts import Manifest

NAME = "envoy.filters.http.local_ratelimit"
_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def listener_filter() -> Manifest:
    """Return the filter of the listener, which limits nothing by itself."""
    return {"name": NAME, "typed_config": {"@type": _TYPE, "stat_prefix": "base"}}


def on_route(each: int) -> Manifest:
    """Return what a route carries: so many requests per second and gateway pod, with a burst of as many."""
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    bucket = {"max_tokens": each, "tokens_per_fill": each, "fill_interval": "1s"}
    limiter = {"token_bucket": bucket, "filter_enabled": always, "filter_enforced": always}
    return {NAME: {"@type": _TYPE, "stat_prefix": "route", **limiter}}
