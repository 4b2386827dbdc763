"""The conformance suite: what is required of a service mesh."""
