"""Prove, on the wire and at both ends, how a service mesh behaves.

The package imports nothing: the plugin is loaded by every pytest run of its environment.
Suite authors import ``pytest_meshcheck.suite``.
"""
