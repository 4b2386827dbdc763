"""Retries: how often, on what, and with which body."""
