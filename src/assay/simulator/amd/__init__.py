"""Simulated AMD: secure processors, their keys, and a key distribution service under an installation's roots.

Reports, certificates and CRLs have the genuine formats; only the roots are the installation's own.
"""
