"""Shared parts of the adapters on Kubernetes."""
