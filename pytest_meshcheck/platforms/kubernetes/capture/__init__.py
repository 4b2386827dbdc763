"""Capture of network traffic on the nodes."""
