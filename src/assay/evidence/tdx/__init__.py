"""Intel TDX: what a trust domain's quote says."""
