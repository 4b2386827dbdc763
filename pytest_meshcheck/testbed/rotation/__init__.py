"""Rotations of certificates, and the rolling restarts that some meshes need to follow them."""
