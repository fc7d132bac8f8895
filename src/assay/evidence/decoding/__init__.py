"""Strict decoders: exact lengths, one encoding for one value, bounds before parsing."""
