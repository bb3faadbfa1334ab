"""OCI data: config, manifest, index, platforms, reference names, history."""
