"""What the REST API answers and takes, as types: its description is made of them."""
