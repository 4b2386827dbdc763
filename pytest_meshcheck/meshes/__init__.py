"""Adapters, one per service mesh."""
