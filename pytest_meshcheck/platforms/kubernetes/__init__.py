"""Workloads as pods of a Kubernetes cluster: ``platform`` runs them, ``api`` reaches the cluster."""
