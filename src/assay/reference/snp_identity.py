"""The identity block of an SEV-SNP guest: its owner's signed word for what may be launched, and by whom.

The secure processor compares the block with the launch and puts digests of the two keys into each report
(``id_key_digest``, ``author_key_digest``): values that outlive a change of the image.

Numbers are little-endian. Identity block, 96 bytes: launch digest 48, family id 16, image id 16,
version (u32, 1), guest SVN u32, policy u64. Authentication information, 4096 bytes: algorithms of both
keys (u32 each, 1 = ECDSA P-384 with SHA-384), reserved 56, signature of the block 512, identity key 1028,
reserved 60, signature of the identity key by the author's 512, author's key 1028, reserved 892. A key:
curve (u32, 2 = P-384), X and Y of 72 bytes each, zeros. A signature: R and S of 72 bytes each, zeros.

Source: AMD, "SEV Secure Nested Paging Firmware ABI" 1.55, section 8.18, tables 75 and 76; chapter 10.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from assay.errors import ReferenceValueError
from assay.reference.values import Measured

if TYPE_CHECKING:
    from typing import NoReturn

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

BLOCK_BYTES: Final = 96
AUTHENTICATION_BYTES: Final = 4096
_BLOCK = Struct("<48s16s16sIIQ")
_AUTHENTICATION = Struct("<II56s512s1028s60s512s1028s892s")
_KEY = Struct("<I72s72s880s")
_SIGNATURE = Struct("<72s72s368s")
_P384 = 2
_COORDINATE_BYTES = 72
_POLICY_MUST_BE_ONE = 1 << 17


@dataclass(frozen=True, slots=True)
class IdentityBlock:
    """What a guest's owner admits.

    Attributes:
        launch_digest: 48 bytes.
        family_id: 16 bytes, the owner's.
        image_id: 16 bytes, the owner's.
        guest_svn: Security version of the guest.
        policy: Guest policy.
    """

    launch_digest: bytes
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    guest_svn: int = 0
    policy: int = 0x30000

    def encode(self) -> bytes:
        """Return the block, 96 bytes."""
        return _BLOCK.pack(self.launch_digest, self.family_id, self.image_id, 1, self.guest_svn, self.policy)

    @classmethod
    def parse(cls, data: bytes) -> IdentityBlock:
        """Parse a block.

        Raises:
            ReferenceValueError: ``reference.snp.id_block``.
        """
        if len(data) != BLOCK_BYTES:
            _refuse("id_block", f"An identity block has {BLOCK_BYTES} bytes.")
        digest, family, image, version, svn, policy = _BLOCK.unpack(data)
        if version != 1:
            _refuse("id_block", f"The identity block is of version {version}; 1 is known.")
        if not policy & _POLICY_MUST_BE_ONE:
            _refuse("id_block", "The policy of the identity block lacks bit 17, which is always set.")
        return cls(digest, family, image, svn, policy)


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who stands behind an identity block.

    Attributes:
        id_key_digest: SHA-384 of the identity key as the report holds it, 48 bytes.
        author_key_digest: The same of the author's key; None when there is none.
    """

    id_key_digest: bytes
    author_key_digest: bytes | None


def verify_identity(block: bytes | None, authentication: bytes) -> Authentication:
    """Verify both signatures of an identity block.

    Args:
        block: The identity block, 96 bytes; None verifies the author's signature alone.
        authentication: The authentication information, 4096 bytes.

    Raises:
        ReferenceValueError: ``reference.snp.id_block``; ``reference.snp.id_auth`` for a wrong layout;
            ``reference.snp.id_signature``, ``reference.snp.author_signature``.
    """
    if len(authentication) != AUTHENTICATION_BYTES:
        _refuse("id_auth", f"The authentication information has {AUTHENTICATION_BYTES} bytes.")
    id_algorithm, author_algorithm, *fields = _AUTHENTICATION.unpack(authentication)
    gap, block_signature, id_key, gap_2, id_signature, author_key, gap_3 = fields
    if id_algorithm != 1 or author_algorithm not in (0, 1) or any(gap + gap_2 + gap_3):
        _refuse("id_auth", "An algorithm of the authentication information is unknown, or a gap is not zero.")
    identity = _key(id_key)
    if block is not None:
        IdentityBlock.parse(block)
        if not _verifies(identity, block_signature, block):
            _refuse("id_signature", "The identity key did not sign this identity block.")
    if not author_algorithm:
        if any(id_signature + author_key):
            _refuse("id_auth", "There is no algorithm for the author's key, but a key or a signature.")
        return Authentication(hashlib.sha384(id_key).digest(), None)
    if not _verifies(_key(author_key), id_signature, id_key):
        _refuse("author_signature", "The author's key did not sign the identity key.")
    return Authentication(hashlib.sha384(id_key).digest(), hashlib.sha384(author_key).digest())


def sign_identity(
    block: IdentityBlock, identity: EllipticCurvePrivateKey, author: EllipticCurvePrivateKey | None
) -> bytes:
    """Return the authentication information for a block, 4096 bytes.

    Args:
        block: What is admitted.
        identity: Key of the identity, P-384.
        author: Key of its author, P-384; None leaves it out.

    Raises:
        ReferenceValueError: ``reference.snp.id_key`` for a key on another curve.
    """
    id_key = _encode_key(identity.public_key())
    return _AUTHENTICATION.pack(
        1,
        1 if author else 0,
        b"",
        _sign(identity, block.encode()),
        id_key,
        b"",
        _sign(author, id_key) if author else b"",
        _encode_key(author.public_key()) if author else b"",
        b"",
    )


def measure_identity(block: bytes, authentication: bytes) -> Measured:
    """Return the values of a signed identity block: ``measurement`` and the digests of both keys.

    Raises:
        ReferenceValueError: as ``verify_identity``.
    """
    found = verify_identity(block, authentication)
    registers = {
        "measurement": frozenset({IdentityBlock.parse(block).launch_digest}),
        "id_key_digest": frozenset({found.id_key_digest}),
    }
    if found.author_key_digest is not None:
        registers["author_key_digest"] = frozenset({found.author_key_digest})
    return Measured("snp", registers)


def _key(data: bytes) -> EllipticCurvePublicKey:

    curve, x, y, rest = _KEY.unpack(data)
    if curve != _P384 or any(rest):
        _refuse("id_auth", "A key of the authentication information is not on P-384.")
    numbers = EllipticCurvePublicNumbers(
        int.from_bytes(x, "little"), int.from_bytes(y, "little"), SECP384R1()
    )
    try:
        return numbers.public_key()
    except ValueError as error:
        raise ReferenceValueError(
            "reference.snp.id_auth", "A key of the authentication information is not a point of its curve."
        ) from error


def _verifies(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:

    r, s, rest = _SIGNATURE.unpack(signature)
    if any(rest):
        _refuse("id_auth", "A signature of the authentication information has bytes behind its end.")
    try:
        key.verify(
            encode_dss_signature(int.from_bytes(r, "little"), int.from_bytes(s, "little")),
            signed,
            ECDSA(SHA384()),
        )
    except InvalidSignature:
        return False
    return True


def _sign(key: EllipticCurvePrivateKey, data: bytes) -> bytes:

    r, s = decode_dss_signature(key.sign(data, ECDSA(SHA384())))
    return _SIGNATURE.pack(_coordinate(r), _coordinate(s), b"")


def _encode_key(key: EllipticCurvePublicKey) -> bytes:
    numbers = key.public_numbers()
    if numbers.curve.name != "secp384r1":
        _refuse("id_key", "The keys of an identity block are on P-384.")
    return _KEY.pack(_P384, _coordinate(numbers.x), _coordinate(numbers.y), b"")


def _coordinate(number: int) -> bytes:
    return number.to_bytes(_COORDINATE_BYTES, "little")


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.snp.{code}", message)
