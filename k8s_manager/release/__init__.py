"""Releases: a version takes over from another by evidence, and goes back by itself.

rules, state ──┐
observation ───┴─> decide ─> weights, mirror, replicas ─> next state (status.rollout)
                     │
                     └─ checks ─ confidence (statistics), capacity (what warm replicas carry)
"""
