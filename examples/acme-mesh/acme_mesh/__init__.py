"""The adapter of pytest-meshcheck for the mesh acme."""
