"""Selection: which version of a model should serve, by five strategies, each with its evidence."""
