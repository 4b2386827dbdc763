"""The configuration of a sidecar as Envoy resources; pure."""
