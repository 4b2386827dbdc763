"""Assertions about a user's own configuration: who may reach a port, and hazards."""
