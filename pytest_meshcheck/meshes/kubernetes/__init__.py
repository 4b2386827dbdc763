"""What meshes on Kubernetes have in common."""
