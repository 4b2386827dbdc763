"""What can be seen of the health of the meshes in a cluster without a change to it."""
