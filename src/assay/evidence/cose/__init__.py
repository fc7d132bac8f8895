"""COSE: signed messages with one signer (RFC 9052, RFC 9053)."""
