"""X.509 by role: a certificate is judged for the position it stands in, never for "it chains to a root"."""
