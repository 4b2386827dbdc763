"""Linkerd on Kubernetes, https://linkerd.io."""
