"""Documents of what training makes: the registered versions of models."""
