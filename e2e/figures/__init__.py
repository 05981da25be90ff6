"""What the real cluster is measured for; the results stand in docs/benchmarks.md."""
