"""The nouns of a check: workloads, policies, observations, capabilities, certificates."""
