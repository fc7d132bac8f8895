"""Linux IMA: the log of files that the kernel measured, replayed to PCR 10 of a quote and judged."""

from __future__ import annotations

from assay.evidence.ima.entries import ImaEntry, ImaFile, ImaLog, from_ascii
from assay.evidence.ima.files import FILE_CHECKS, FilePolicy, appraise_files
from assay.evidence.ima.verify import ImaClaims, ImaOutcome, ImaSpecs, verify_ima

__all__ = [
    "FILE_CHECKS",
    "FilePolicy",
    "ImaClaims",
    "ImaEntry",
    "ImaFile",
    "ImaLog",
    "ImaOutcome",
    "ImaSpecs",
    "appraise_files",
    "from_ascii",
    "verify_ima",
]
