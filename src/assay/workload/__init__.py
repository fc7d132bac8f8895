"""Manifest, bundle and sandbox of a workload."""
