"""Simulated AWS: an installation's own Nitro root, instances, security modules of enclaves, and NitroTPM."""
