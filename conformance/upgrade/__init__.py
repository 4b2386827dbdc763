"""Upgrades: a mesh's behaviour while it is moved to another version."""
