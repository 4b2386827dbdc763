"""Clusters of kind, and the images that their nodes need."""
