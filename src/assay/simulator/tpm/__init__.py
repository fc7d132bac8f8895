"""A simulated TPM 2.0: PCR banks, an attestation key, quotes, and the logs of what was extended."""
