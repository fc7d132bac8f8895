"""Simulated TEE hardware with a root of its own for each installation: a testing aid, never a trust anchor.

What a simulated machine says differs from what a real one says in nothing but the root of its chain, so that
the same verifier reads both. A verifier that pins vendor roots calls it *simulated*; nothing here can change
that.
"""
