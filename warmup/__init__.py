"""Warm-up: plans as requests, one module per protocol, success, the engine, the gate and its keeper, the agent."""

import os

# As in `k8s_manager.standalone`: gRPC's fork handlers crash children that others start. It reads this when it is
# imported first, and here it may be.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
