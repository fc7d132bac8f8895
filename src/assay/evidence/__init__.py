"""Bytes in, checked Claims out: no I/O, no clock, no globals, no network."""
