"""A policy over the files that the kernel measured: which digests, which files, who signed the rest.

It judges proven entries only (``ImaClaims``), so nothing here can be reached before the replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from assay.errors import EvidenceError
from assay.evidence.ledger import CheckFailedError, CheckSpec, LedgerBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.evidence.ima.entries import ImaFile
    from assay.evidence.ima.verify import ImaClaims
    from assay.evidence.ledger import Ledger

_POLICY = "RFC 9334 section 8.5: appraisal policy for evidence; "

READABLE = CheckSpec(
    "ima.files.readable", "every proven entry names a file and its digest", _POLICY + "IMA-templates.rst"
)
VIOLATIONS = CheckSpec(
    "ima.files.violations",
    "no file could change while it was measured",
    _POLICY + "Linux ima_main.c (ima_rdwr_violation_check)",
)
ALLOWED = CheckSpec(
    "ima.files.allowed",
    "every file on the list has one of the digests that the list allows",
    _POLICY + "allow-list",
)
UNKNOWN = CheckSpec(
    "ima.files.unknown",
    "no file was measured that is neither listed nor signed",
    _POLICY + "allow-list, IMA signatures",
)
REQUIRED = CheckSpec("ima.files.required", "every file that must be measured was", _POLICY + "required files")
FILE_CHECKS = (READABLE, VIOLATIONS, ALLOWED, UNKNOWN, REQUIRED)

BOOT_AGGREGATE = "boot_aggregate"
MAX_SHOWN = 5
_LEAST_RSA_BITS = 2048
_SIGNATURE = Struct(">BBBIH")
_SIGNATURE_TYPE, _SIGNATURE_VERSION = 3, 2
# Number of the kernel's enum hash_algo.
_SIGNED_HASHES: dict[int, tuple[str, hashes.HashAlgorithm]] = {
    4: ("sha256", hashes.SHA256()),
    5: ("sha384", hashes.SHA384()),
    6: ("sha512", hashes.SHA512()),
}


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """What may have been measured.

    Attributes:
        allowed: Digests by path, each as ``sha256:`` and lower-case hex.
        required: Paths that must have been measured.
        refuse_unknown: Whether a file that is neither listed nor signed is refused.
        ignored: Prefixes of paths that are not judged, such as ``/var/log/``; of violations no name is
            measured, and none is excused by it.
        signers: Keys whose file signatures make a file known: SPKI, DER.
        admit_violations: Whether violations that the log does not name as files of the list are admitted;
            whoever keeps the log chooses these names.
    """

    allowed: Mapping[str, frozenset[str]]
    required: frozenset[str]
    refuse_unknown: bool
    ignored: tuple[str, ...] = ()
    signers: tuple[bytes, ...] = ()
    admit_violations: bool = False


def appraise_files(claims: ImaClaims, policy: FilePolicy) -> Ledger:
    """Judge the proven entries of an IMA log.

    Args:
        claims: The proven log.
        policy: What may have been measured.

    Returns:
        The outcomes of ``FILE_CHECKS``.

    Raises:
        EvidenceError: ``ima.policy.signer`` for a key that ``load_signer`` refuses: the caller's error.
    """
    signers = [load_signer(der) for der in policy.signers]
    ledger = LedgerBuilder(FILE_CHECKS)
    try:
        files = _files(ledger, claims, policy)
    except CheckFailedError:
        return ledger.close()
    violated = [found.path for found, violation in files if violation]
    measured = [found for found, violation in files if not violation]
    tolerated = policy.admit_violations and not any(path in policy.allowed for path in violated)
    _record(ledger, VIOLATIONS, [] if tolerated else violated)
    _record(ledger, ALLOWED, [found.path for found in measured if _wrong(found, policy)])
    if policy.refuse_unknown:
        known = policy.allowed
        _record(
            ledger,
            UNKNOWN,
            [found.path for found in measured if found.path not in known and not _signed(found, signers)],
        )
    else:
        ledger.not_applicable(UNKNOWN, "the policy does not refuse unknown files")
    seen = {found.path for found in measured}
    _record(ledger, REQUIRED, sorted(policy.required - seen))
    return ledger.close()


def _files(ledger: LedgerBuilder, claims: ImaClaims, policy: FilePolicy) -> list[tuple[ImaFile, bool]]:
    """Decode the entries that are judged, each with whether it is a violation."""
    try:
        found = [(entry.file(), entry.violation) for entry in claims.entries]
    except EvidenceError as error:
        raise ledger.fail(READABLE, READABLE.id, error.message) from error
    ledger.passed(READABLE)
    return [
        (file, violation)
        for file, violation in found
        # No register covers what a violation says of itself, so it can excuse nothing.
        if violation
        or not (_of_the_boot(file, found[0][0]) or file.path.startswith(policy.ignored or ("\0",)))
    ]


def _of_the_boot(found: ImaFile, first: ImaFile) -> bool:
    """Tell whether an entry is the aggregate of the boot with which its log begins, or repeats it.

    After a kexec the log goes on with the same aggregate. Any other entry of that name is a file: the kernel
    names files that it cannot reach from its root by their last name alone. That a log does not begin with a
    violation is for the replay to refuse.
    """
    same = (found.algorithm, found.digest) == (first.algorithm, first.digest)
    return found.path == first.path == BOOT_AGGREGATE and same


def _record(ledger: LedgerBuilder, spec: CheckSpec, paths: Iterable[str]) -> None:
    found = list(paths)
    if not found:
        ledger.passed(spec)
        return
    shown = ", ".join(ascii(path[:200]) for path in found[:MAX_SHOWN])
    ledger.failed(spec, spec.id, f"{len(found)} files: {shown}{' and more' if found[MAX_SHOWN:] else ''}.")


def _wrong(found: ImaFile, policy: FilePolicy) -> bool:
    digests = policy.allowed.get(found.path)
    return digests is not None and (found.verity or f"{found.algorithm}:{found.digest.hex()}" not in digests)


def load_signer(der: bytes) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """Load a public key whose signatures of files count.

    Args:
        der: SubjectPublicKeyInfo, DER.

    Raises:
        EvidenceError: ``ima.policy.signer`` unless it is RSA of 2048 bits or more, or EC.
    """
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        key = None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise EvidenceError(
            "ima.policy.signer",
            f"A signer of files is a public key in DER, RSA of {_LEAST_RSA_BITS} bits or more, or EC.",
        )
    return key


def _signed(found: ImaFile, signers: list[rsa.RSAPublicKey | ec.EllipticCurvePublicKey]) -> bool:
    """Tell whether one of the keys signed the file's digest (signature_v2_hdr of the kernel)."""
    blob = found.signature
    if len(blob) < _SIGNATURE.size or found.verity:
        return False
    kind, version, number, _key_id, size = _SIGNATURE.unpack_from(blob)
    name, algorithm = _SIGNED_HASHES.get(number, ("", hashes.SHA256()))
    return (
        (kind, version, name) == (_SIGNATURE_TYPE, _SIGNATURE_VERSION, found.algorithm)
        and size == len(blob) - _SIGNATURE.size
        and len(found.digest) == algorithm.digest_size
        and any(_verifies(key, blob[_SIGNATURE.size :], found.digest, algorithm) for key in signers)
    )


def _verifies(
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    signature: bytes,
    digest: bytes,
    algorithm: hashes.HashAlgorithm,
) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, padding.PKCS1v15(), Prehashed(algorithm))
        else:
            key.verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))
    except InvalidSignature:
        return False
    return True
