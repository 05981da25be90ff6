"""Versions from a registry that others run: MLflow is read every half minute, and never written."""
