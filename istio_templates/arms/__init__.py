"""Which version a request comes to by what it carries: rules before the weighted one, and weights by a hash."""
