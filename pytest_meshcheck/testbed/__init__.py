"""The mesh and the workloads that checks act on."""
