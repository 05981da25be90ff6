"""The decision on a release. Pure.

rules, state ──┐
observation ───┴─> decide ─> weights, mirror, replicas ─> next state (status.rollout)
                     │
                     └─ checks ─ confidence (statistics), capacity (what warm replicas carry)
"""
