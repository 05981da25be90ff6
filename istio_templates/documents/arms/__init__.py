"""Which requests of a Model come to a version by what they carry, before or beside its weights."""
