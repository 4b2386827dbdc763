"""Where workloads run: local processes, or a Kubernetes cluster."""
