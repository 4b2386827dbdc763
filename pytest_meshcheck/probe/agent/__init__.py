"""The program of a probe, and how it is controlled."""
