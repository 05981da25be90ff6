"""Effects on the outside: what is under way and what is due again (pure), and the lanes that carry it out."""
