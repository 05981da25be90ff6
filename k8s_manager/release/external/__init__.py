"""Checks of a release that another system decides: webhooks and Jobs.

state, target ── check_step ─┬─ webhook_round ─ webhook_message, webhook_call ─> a receiver
                             └─ job_round ───── job_outcome ──────────────────> a Job in the model's namespace
"""
