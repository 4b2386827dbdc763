"""An adapter by which pytest-meshcheck judges the mesh acme."""
