"""Documents proposed for what somebody runs already, and what of it they could not express. Pure."""
