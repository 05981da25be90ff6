"""The registry of versions in the REST API: what training posts after a run, and what people say of a version."""
