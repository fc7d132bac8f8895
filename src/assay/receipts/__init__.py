"""What was executed, signed by the guest."""
