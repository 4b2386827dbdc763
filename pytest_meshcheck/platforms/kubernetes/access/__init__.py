"""Access to a cluster: which cluster, and what the user may do there."""
