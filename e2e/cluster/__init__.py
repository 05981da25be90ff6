"""A real cluster on one machine: Kubernetes, a kubelet with containerd, Istio, in a network namespace of its own."""
