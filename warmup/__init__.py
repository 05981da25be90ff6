"""Warm-up: plans, protocols, the verdict, the gate. Nothing is here yet (see docs/roadmap.md)."""
