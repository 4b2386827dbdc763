"""Manifests of a user: what they say, and what becomes of it in a run."""
