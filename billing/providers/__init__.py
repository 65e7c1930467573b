"""The port to a payment provider, and the adapters behind it."""
