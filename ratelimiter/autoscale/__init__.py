"""How many replicas a version should have: from signals by a weighted formula to an absolute number. Pure.

    readings ──> formula (one ratio) ──> need ──> forecast ──> decision (window, steps, bounds, quota) ──> replicas

Refusals raise demand, demand raises replicas, warm replicas raise the limit. `horizontal_pod_autoscaler` is Kubernetes'
own algorithm. `feedback_loop` runs either, second by second, over a `replica_fleet`, as does `ratelimiter.simulation`
request by request.
"""
