"""Reference integrity manifests (RIM) of NVIDIA: signed SWID tags in XML."""
