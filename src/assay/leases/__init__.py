"""The life of a lease: intent, deed, admission, start, run, release, recovery."""
