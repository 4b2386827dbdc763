"""A pytest run with a mesh selected."""
