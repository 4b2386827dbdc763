"""Time limits: of a request, and of a single attempt."""
