"""Workloads as pods of a Kubernetes cluster."""
