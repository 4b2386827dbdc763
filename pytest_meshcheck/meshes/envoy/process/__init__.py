"""Envoy processes, and how they get their configuration."""
