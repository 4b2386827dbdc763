"""Envoy processes, and the delivery of their configuration."""
