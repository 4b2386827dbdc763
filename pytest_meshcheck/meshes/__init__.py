"""The things under test: one adapter per service mesh."""
