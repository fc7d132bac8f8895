"""Assay: nothing goes in until the hardware proves it."""
