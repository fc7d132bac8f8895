"""Settings: built-in < user file < environment < flags; a repository can only tighten."""
