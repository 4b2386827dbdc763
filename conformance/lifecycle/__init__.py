"""Outages, restarts and changes of the mesh itself, and what becomes of requests meanwhile."""
