"""Everything on one machine: an embedded Kubernetes API, pods as processes, real Envoys and what feeds them."""

import os

# gRPC's fork handlers crash a child now and then before it becomes another program, and we fork for nothing else. It
# reads this when it is imported first.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
