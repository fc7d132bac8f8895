"""Pieces of evidence that belong together, and how they are tied to a session.

The tie is the Relying Party's word, never the evidence's:

* ``Carried``: report data and Nitro's user data hold SHA-512 of the session's encoding; a TPM, a GPU and a
  token hold SHA-256 of their carrier's name and the encoding.
* ``Shared``: one nonce in all of them; 64-byte report data are filled up with zeros.
* ``Held``: the machine's report data are known; what they mean for the others follows if they are a nonce,
  or is said with them.
* ``Unchecked``: nothing is known. The pieces are still compared with each other, as far as that goes.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError
from assay.evidence.nvidia.composite import head_nonce
from assay.evidence.verification import Expected, Unchecked

if TYPE_CHECKING:
    from assay.appraisal.result import AttestationResult
    from assay.evidence.verification import Binding

MACHINES: Final = frozenset(
    {"tdx", "sgx", "snp", "nitro", "nitro-tpm", "azure-snp", "azure-tdx", "gcp-tdx", "gcp-snp"}
)
"""Platforms whose evidence speaks for the machine that the others belong to."""
TOKENS: Final = frozenset({"confidential-space", "maa", "trust-authority"})
"""Platforms whose evidence is somebody else's word about a machine."""
DEVICES: Final = frozenset({"nvidia-gpu", "nras"})
TPMS: Final = frozenset({"gcp-vtpm", "tpm"})
AZURE: Final = frozenset({"azure-snp", "azure-tdx"})
"""Machines that commit to a session by the quote of their virtual TPM; the hardware names its key."""
LONGEST_NONCE_BYTES: Final = 64
_QUOTED: Final = TPMS | AZURE | {"gcp-tdx", "gcp-snp"}
"""Platforms that answer with the quote of a virtual TPM, whatever hardware is below it."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The session's own binding.

    Attributes:
        encoding: The encoding of all its slots, as the Relying Party computes it.

    Raises:
        EvidenceError: ``evidence.call.nonce`` for an empty encoding: an error of the caller.
    """

    encoding: bytes

    def __post_init__(self) -> None:
        if not self.encoding:
            raise EvidenceError("evidence.call.nonce", "An empty encoding is of no session.")

    @property
    def report_data(self) -> bytes:
        """What 64-byte report data hold: SHA-512 of the encoding."""
        return hashlib.sha512(self.encoding).digest()

    def digest(self, carrier: str) -> bytes:
        """Return what a 32-byte carrier holds: SHA-256 of its name, length-prefixed, and the encoding."""
        name = carrier.encode()
        return hashlib.sha256(struct.pack(">I", len(name)) + name + self.encoding).digest()


@dataclass(frozen=True, slots=True)
class Shared:
    """One nonce for all.

    Attributes:
        nonce: The nonce, 1 to 64 bytes.

    Raises:
        EvidenceError: ``evidence.call.nonce`` for another size, an error of the caller: filled up with zeros,
            an empty one would fit whatever bound nothing.
    """

    nonce: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.nonce) <= LONGEST_NONCE_BYTES:
            raise EvidenceError("evidence.call.nonce", "A nonce has 1 to 64 bytes.")


@dataclass(frozen=True, slots=True)
class Held:
    """What the machine's evidence must hold.

    Attributes:
        report_data: All of its report data or user data.
        nonce: What the others answered, where the report data do not show it by being a nonce with zeros
            behind it; they have to end with it. Empty when it is not known.
    """

    report_data: bytes
    nonce: bytes = b""


Tie = Carried | Shared | Held | Unchecked


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a composite, appraised.

    Attributes:
        name: What the bundle calls it.
        result: What came of it.
    """

    name: str
    result: AttestationResult


def expected(tie: Tie, platform: str, report_data_bytes: int | None) -> Binding:
    """Return what a piece of evidence must carry.

    Args:
        tie: How the pieces are tied to the session.
        platform: Whose evidence it is.
        report_data_bytes: Size of what the format carries; None when it varies.
    """
    if isinstance(tie, Unchecked):
        return tie
    if isinstance(tie, Carried):
        return Expected(_carried(tie, platform))
    if isinstance(tie, Shared):
        return Expected(tie.nonce if report_data_bytes is None else tie.nonce.ljust(report_data_bytes, b"\0"))
    if platform in MACHINES:
        return Expected(tie.report_data)
    head = tie.nonce or head_nonce(tie.report_data)
    return Unchecked("the report data alone do not say what it carries") if head is None else Expected(head)


def _carried(tie: Carried, platform: str) -> bytes:
    if platform in DEVICES:
        return tie.digest("gpu")
    if platform in TOKENS:
        return base64.urlsafe_b64encode(tie.digest("eat_nonce")).rstrip(b"=")
    return tie.digest("tpm") if platform in _QUOTED else tie.report_data
