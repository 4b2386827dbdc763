"""The embedded mesh: real Envoy sidecars as local processes."""
