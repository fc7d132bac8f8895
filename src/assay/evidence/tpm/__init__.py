"""TPM 2.0 evidence: quotes, attestation keys, PCR banks, and the event logs that explain the PCRs."""
