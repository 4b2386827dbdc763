"""``meshcheck.toml``: what the owner of manifests expects of the mesh."""
