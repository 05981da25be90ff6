"""From documents in files to manifests in files: the same plan and renderers as in the cluster, another target."""
