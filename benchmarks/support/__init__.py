"""What benchmarks share, and the floors and peers that they stand beside."""
