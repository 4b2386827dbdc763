"""Upgrades: what a mesh does while it is moved to another version."""
