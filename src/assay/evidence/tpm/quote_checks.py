"""The checks of a quote, under the names of the format that carries it.

Source: TCG TPM 2.0 Library, part 2 for the structures, part 3, section 18.4 (TPM2_Quote).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from assay.evidence.ledger import Check, CheckSpec, Outcome, specs_under

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_PART2 = "TPM 2.0 Library part 2, section "


@dataclass(frozen=True, slots=True)
class QuoteSpecs:
    """The checks of a quote under the names of one format, in the order in which they are made.

    Attributes:
        all: All of them, for the format's own list.
        passed: Ready-made outcomes of all checks where all passed.
        passed_bare: The same for a key whose attributes are not known, because only the public key was given.
    """

    layout: CheckSpec
    magic: CheckSpec
    kind: CheckSpec
    key: CheckSpec
    attributes: CheckSpec
    encoding: CheckSpec
    scheme: CheckSpec
    signature: CheckSpec
    selection: CheckSpec
    bank: CheckSpec
    digest: CheckSpec
    nonce: CheckSpec
    all: tuple[CheckSpec, ...] = field(init=False)
    passed: tuple[Check, ...] = field(init=False)
    passed_bare: tuple[Check, ...] = field(init=False)

    def __post_init__(self) -> None:
        every = (
            *(self.layout, self.magic, self.kind, self.key, self.attributes, self.encoding),
            *(self.scheme, self.signature, self.selection, self.bank, self.digest, self.nonce),
        )
        why = "only the public key is given; whoever vouches for it vouches for its attributes"
        unattributed = Check(self.attributes, Outcome.NOT_APPLICABLE, "", why)
        passed = tuple([spec.passed for spec in every])
        bare = tuple([unattributed if spec is self.attributes else spec.passed for spec in every])
        object.__setattr__(self, "all", every)
        object.__setattr__(self, "passed", passed)
        object.__setattr__(self, "passed_bare", bare)

    def keeping(self, kept: Collection[CheckSpec]) -> Callable[[tuple[Check, ...]], tuple[Check, ...]]:
        """Return what takes the outcomes of these checks, at least two, out of those of all."""
        return itemgetter(*[place for place, spec in enumerate(self.all) if spec in kept])

    @classmethod
    def of(cls, prefix: str) -> QuoteSpecs:
        """Return the checks with ids that begin with ``prefix``, such as ``azure-snp.quote``."""
        spec = specs_under(prefix)
        return cls(
            layout=spec(
                "layout", "the quote is one TPMS_ATTEST, to its last byte", _PART2 + "10.12.8 (TPMS_ATTEST)"
            ),
            magic=spec("magic", "a TPM made the signed structure", _PART2 + "6.2 (TPM_GENERATED_VALUE)"),
            kind=spec("type", "the signed structure is a quote", _PART2 + "6.9 (TPM_ST_ATTEST_QUOTE)"),
            key=spec(
                "key",
                "the attestation key is RSA of 2048 bits or more, or on a NIST curve",
                _PART2 + "12.2.4 (TPMT_PUBLIC)",
            ),
            attributes=spec(
                "key_attributes",
                "the attestation key is restricted to sign what its TPM made, and cannot leave the TPM",
                _PART2 + "8.3 (TPMA_OBJECT); part 1, section 25 (restricted keys)",
            ),
            encoding=spec(
                "signature_layout",
                "the signature is one TPMT_SIGNATURE, to its last byte",
                _PART2 + "11.3.4 (TPMT_SIGNATURE)",
            ),
            scheme=spec(
                "scheme",
                "scheme and hash of the signature are the key's, and the hash is not SHA-1",
                _PART2 + "11.2.1 (TPMT_SIG_SCHEME); NIST SP 800-131A",
            ),
            signature=spec(
                "signature",
                "the attestation key signed the quote",
                "TPM 2.0 Library part 3, section 18.4 (TPM2_Quote)",
            ),
            selection=spec(
                "selection",
                "the signed selection is one bank and exactly the PCRs presented, all that are relied on"
                " among them",
                _PART2 + "10.6.2 (TPMS_PCR_SELECTION)",
            ),
            bank=spec(
                "bank", "the quoted bank is of an accepted hash", "NIST SP 800-131A; TPM 2.0 Library part 1"
            ),
            digest=spec(
                "pcr_digest",
                "the PCR values presented are those that were signed",
                _PART2 + "10.12.1 (TPMS_QUOTE_INFO)",
            ),
            nonce=spec(
                "nonce",
                "all bytes of the qualifying data are the ones expected",
                "RFC 9334 section 10: freshness",
            ),
        )
