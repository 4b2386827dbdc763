"""Prove, on the wire and at both ends, what a service mesh does.

The package imports nothing: the plugin is loaded by every pytest run of its environment.
Suite authors import ``pytest_meshcheck.suite``.
"""
