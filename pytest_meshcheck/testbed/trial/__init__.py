"""A user's own configuration on trial: stand-ins of the workloads, under the mesh resources of the manifests."""
