"""What vouches for hardware: fetched, verified, kept, carried to machines without a network.

    intel_pcs, amd_kds, azure_thim, google, microsoft_maa, trust_authority, nvidia, revocation_lists
                    one module for each publisher: which documents, and what proves them
    http, services  the one client, and the only hosts that it may reach
    cache           what was verified, by what it is about; stale entries stay, and are called stale
    fetching        from what evidence needs to what is at hand
    bundle          one file for machines without a network

Nothing here decides on evidence: verifiers verify again whatever they are given.
"""
