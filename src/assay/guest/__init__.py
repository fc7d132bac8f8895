"""The agent inside the TEE: quoting devices, serving one owner."""
