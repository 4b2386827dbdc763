"""Mutual TLS: who is let in, and what can be read on the way."""
