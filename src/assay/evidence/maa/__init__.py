"""Microsoft Azure Attestation: tokens of a service that appraised a TEE; a separate and weaker kind.

Who accepts one believes Microsoft's appraisal, its policy engine and the key set that it serves over the web.
The evidence itself (the SNP report, the vTPM quote) is not in the token: nothing in it can be verified again.
Results are never hardware results by derivation; verify Azure's own evidence wherever it can be had.
"""

from __future__ import annotations

from assay.evidence.maa.claims import MaaClaims
from assay.evidence.maa.verify import verify_maa

__all__ = ["MaaClaims", "verify_maa"]
