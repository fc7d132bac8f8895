"""Tokens and evidence that nobody here verifies: results of other verifiers, other devices.

Naming them tells a person that the file is not damaged. Nothing rests on the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.verification.recognition import claims_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Kinds = tuple[tuple[Callable[[bytes], bool], Callable[[], EvidenceError]], ...]

_RESULT: Final = "ear.verifier-id"
_TAGS: Final = (0xD2, 0xD9)  # of one byte, and of two
_CCA: Final = 399
_CCA_PARTS: Final = {44234, 44241}  # of the platform, and of the realm
_PSA_PROFILES: Final = (
    (265, "http://arm.com/psa/"),
    (265, "tag:psacertified.org,"),
    (-75000, "PSA_IOT_PROFILE_1"),
)


def refuse(kinds: Kinds, data: bytes) -> None:
    """Raise the error of the first kind that bytes are of; nothing where they are of none."""
    for known, error in kinds:
        if known(data):
            raise error()


def refuse_token(data: bytes) -> None:
    """Say of a compact token whose it is not.

    Raises:
        EvidenceError: ``verification.evidence.result`` or ``verification.evidence.token``.
    """
    refuse(TOKENS, data)


def unsupported(what: str) -> EvidenceError:
    """Return the error that evidence is of something that nobody here can verify.

    Args:
        what: What the file is.
    """
    return EvidenceError(
        "verification.evidence.unsupported",
        f"The file is {what}, which Assay does not verify.",
        action="Give evidence of Intel TDX or SGX, AMD SEV-SNP, AWS Nitro, a TPM or a device of NVIDIA.",
    )


def _is_cca(data: bytes) -> bool:
    from assay.evidence.decoding.cbor import Tag  # noqa: PLC0415 - where nothing else fits

    found = _tagged(data)
    token = found.value if type(found) is Tag and found.number == _CCA else None
    return type(token) is dict and token.keys() == _CCA_PARTS


def _is_psa(data: bytes) -> bool:
    from assay.evidence.cose.sign1 import CoseError, Sign1  # noqa: PLC0415 - where nothing else fits
    from assay.evidence.decoding.cbor import CborError, decode  # noqa: PLC0415 - the same

    try:
        payload = Sign1.of(_tagged(data)).payload or b""
        claims = decode(payload, max_bytes=len(payload))
    except (CoseError, CborError):
        return False
    return type(claims) is dict and any(
        str(claims.get(name)).startswith(profile) for name, profile in _PSA_PROFILES
    )


def _tagged(data: bytes) -> Any:
    """Return the tagged item that bytes are in CBOR; None for anything else."""
    from assay.evidence.decoding.cbor import CborError, decode  # noqa: PLC0415 - where nothing else fits

    try:
        return decode(data, max_bytes=len(data)) if data[:1] and data[0] in _TAGS else None
    except CborError:
        return None


def _result() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.result",
        "The file is what another verifier found (an attestation result, EAR), and is no evidence.",
        action="Give the evidence that it is about.",
    )


def _token() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.token",
        "The file is a token whose issuer and claims are those of no service that Assay knows.",
        action="Give the evidence that it is about, or the whole answer that it came in.",
    )


TOKENS: Final[Kinds] = (
    (lambda data: _RESULT in (claims_of(data) or ()), _result),
    (lambda data: claims_of(data) is not None, _token),
)
"""What their beginning tells, each with its error."""
DEVICES: Final[Kinds] = (
    (_is_cca, lambda: unsupported("a token of Arm CCA")),
    (_is_psa, lambda: unsupported("a token of an Arm PSA device")),
)
"""What has to be read, each with its error."""
