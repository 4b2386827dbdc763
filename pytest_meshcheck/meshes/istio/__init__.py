"""Istio, with sidecars or ambient."""
