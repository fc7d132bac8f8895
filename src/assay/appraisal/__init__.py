"""Policy over Claims, Reference Values and context; out comes an Attestation Result."""
