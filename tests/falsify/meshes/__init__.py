"""Meshes that no check may conform on, and embedded meshes whose control plane is at fault."""
