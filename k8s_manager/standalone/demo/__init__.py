"""The demo: a gateway, a tenant, and a small ranking model that was really trained (see train.py)."""
