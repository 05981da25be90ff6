"""CPU, memory and GPU that pods use, beside what they request and may use."""
