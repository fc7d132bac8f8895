"""Manifest, bundle and sandbox of the user's program."""
