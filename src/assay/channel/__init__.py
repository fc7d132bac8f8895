"""Binding, framing and attested TLS, both ends."""
