"""Requests during outages, restarts and changes of the mesh itself."""
