"""Rules about a dstack guest, over the Claims of its event log."""
