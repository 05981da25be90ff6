"""What the cluster is made of. The Go modules beside this file pin the same versions with all they need."""

KUBERNETES = "1.34.4"
ISTIO = "1.31.0"
COREDNS = "1.14.7"
METRICS_SERVER = "0.8.0"
KEDA = "2.21.0"
ARGO_ROLLOUTS = "1.10.0"
DEBIAN = "bookworm"
PYTHON = "3.11"
"""The Python that this Debian has: the wheels in the images are chosen for it."""

HUB = "docker.io/local"
"""The prefix of the images' names; nothing is ever pulled from there."""
