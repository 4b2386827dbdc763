"""The network below the workloads: who may connect, and what can be read between nodes."""
