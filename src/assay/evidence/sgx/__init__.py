"""Intel SGX: what an enclave's quote says."""
