"""Reference integrity manifests (RIM) of NVIDIA: signed SWID tags in XML.

``verify_rim`` is the one entry; ``RIM_CHECKS`` are the checks it makes, in order.
"""

from __future__ import annotations

from assay.reference.rim.checks import RIM_CHECKS
from assay.reference.rim.verify import RimResult, verify_rim

__all__ = ["RIM_CHECKS", "RimResult", "verify_rim"]
