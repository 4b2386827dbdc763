"""Checks of a user's own configuration; they run with ``--mesh-manifests`` alone."""
