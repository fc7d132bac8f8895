"""Simulated hardware: its own roots and fuses, genuine formats."""
