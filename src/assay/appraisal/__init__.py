"""Policy over Claims, Reference Values and context; out comes an Attestation Result."""

from assay.appraisal.appraiser import appraise
from assay.appraisal.policy import Policy
from assay.appraisal.result import AttestationResult, Verdict
from assay.appraisal.rules.subject import Context

__all__ = ["AttestationResult", "Context", "Policy", "Verdict", "appraise"]
