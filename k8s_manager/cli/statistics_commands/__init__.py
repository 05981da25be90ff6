"""Commands about requests: what access logs say of them."""
