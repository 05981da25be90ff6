"""JSON and YAML as text: read as Kubernetes and Go read them, and bounded in what they may cost. Pure."""
