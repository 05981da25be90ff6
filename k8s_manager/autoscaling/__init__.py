"""How many replicas each version with `autoscale` should have, and who writes that number.

    plan, World ───> scale targets ──┐
    signal source ─> readings ───────┴─> decide (ratelimiter/autoscale) ─> writer ─> views (status, API, explain)

Refusals raise demand, demand raises replicas, warm replicas raise the limit.
"""
