"""Access to a cluster: which cluster, and the user's permissions there."""
