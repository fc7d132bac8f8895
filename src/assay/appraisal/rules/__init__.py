"""Rules: what a policy compiles to. Each looks at one property and returns the outcome of one check."""
