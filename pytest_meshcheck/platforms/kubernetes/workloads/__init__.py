"""Workloads as resources and pods: manifests, running pods, and whether they fit on the nodes."""
