"""Evidence from a cluster, without secrets."""
