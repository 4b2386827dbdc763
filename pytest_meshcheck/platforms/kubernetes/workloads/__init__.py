"""Workloads as resources and pods: what is applied, what runs, and whether it fits on the nodes."""
