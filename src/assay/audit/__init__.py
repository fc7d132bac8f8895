"""The append-only log: tiles, signed checkpoints, export, offline verification."""
