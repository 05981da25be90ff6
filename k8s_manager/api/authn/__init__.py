"""Who calls: one module per kind of proof, and the order in which they are asked."""
