"""The identity of a workload, and the caller's identity as its application receives it."""
