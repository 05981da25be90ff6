"""Scenarios beside real programs of others, each installed by its scenario: `make e2e-neighbours`."""
