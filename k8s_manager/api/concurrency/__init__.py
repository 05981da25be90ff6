"""Documents that several clients change at once: preconditions, locks, and changes that are made again."""
