"""COSE_Sign1: one payload under one signature (RFC 9052 section 4.2).

    COSE_Sign1 = [protected: bstr, unprotected: map, payload: bstr / nil, signature: bstr]   ; tag 18 optional

The signature covers ``Sig_structure``, into which the protected header and the payload go as the bytes that
they are in the message; nothing is decoded, encoded again and then verified. Nothing covers the unprotected
header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature

from assay.errors import EvidenceError
from assay.evidence.cose.algorithms import SCHEMES, Algorithm
from assay.evidence.decoding.cbor import CborError, Tag, decode, encode, head

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

TAG_SIGN1: Final = 18
MAX_SIGN1_BYTES: Final = 1024 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_HEADER_DEPTH: Final = 8
MAX_HEADER_ITEMS: Final = 256

ALGORITHM: Final = 1  # header parameters, RFC 9052 section 3.1
CRITICAL: Final = 2
CONTENT_TYPE: Final = 3
KEY_ID: Final = 4
_COMMON: Final = frozenset({ALGORITHM, CONTENT_TYPE, KEY_ID})
_SIGN1_CONTEXT: Final = head(4, 4) + encode("Signature1")


class CoseError(EvidenceError):
    """A message that is malformed, or whose signature does not verify; codes ``cose.*``."""


@dataclass(frozen=True, slots=True)
class Sign1:
    """One decoded message; nothing about it is verified.

    Attributes:
        protected: The protected header as it is in the message; empty when there is none.
        headers: The same, decoded.
        unprotected: The unprotected header; no signature covers it.
        payload: The payload as it is in the message; None when it is detached.
        signature: The signature as it is in the message.
        tagged: Whether tag 18 stood before the message.
    """

    protected: bytes
    headers: Mapping[int | str | bytes, Any]
    unprotected: Mapping[int | str | bytes, Any]
    payload: bytes | None
    signature: bytes
    tagged: bool

    @classmethod
    def parse(cls, data: bytes, *, max_bytes: int = MAX_SIGN1_BYTES) -> Sign1:
        """Decode a message, with or without its tag.

        Args:
            data: The message, and nothing behind it.
            max_bytes: Longest message that is looked at.

        Raises:
            CoseError: ``cose.layout`` when it is no COSE_Sign1 in strict CBOR, ``cose.headers`` when a header
                is malformed or one parameter stands in both.
        """
        try:
            found = decode(data, max_bytes=max_bytes, max_depth=MAX_HEADER_DEPTH, max_items=MAX_HEADER_ITEMS)
        except CborError as error:
            raise CoseError("cose.layout", error.message) from None
        return cls.of(found)

    @classmethod
    def of(cls, item: Any) -> Sign1:
        """Take a message that stood inside another item, as the reader of CBOR returned it.

        Raises:
            CoseError: As ``parse`` does.
        """
        tagged = type(item) is Tag and item.number == TAG_SIGN1
        parts = item.value if tagged else item
        if type(parts) is not list or len(parts) != 4:
            raise CoseError("cose.layout", "A message is no array of four, or has another tag than 18.")
        protected, unprotected, payload, signature = parts
        if (
            type(protected) is not bytes
            or type(unprotected) is not dict
            or type(signature) is not bytes
            or (payload is not None and type(payload) is not bytes)
        ):
            raise CoseError("cose.layout", "A part of a message is of another type than it must be.")
        headers = _header(protected)
        if not headers.keys().isdisjoint(unprotected):
            raise CoseError("cose.headers", "A header parameter stands in both headers of a message.")
        if any(type(label) is bytes for label in (*headers, *unprotected)):
            raise CoseError("cose.headers", "A label of a header is neither an integer nor a text.")
        return cls(protected, headers, unprotected, payload, signature, tagged)

    def signed(self, *, external_aad: bytes = b"", payload: bytes | None = None) -> bytes:
        """Return the bytes that the signature covers: ``Sig_structure``, RFC 9052 section 4.4.

        Args:
            external_aad: What the application adds.
            payload: The payload, when it is detached.

        Raises:
            CoseError: ``cose.payload`` when there is no payload or more than one.
        """
        if (self.payload is None) is (payload is None):
            raise CoseError(
                "cose.payload", "A payload is missing, or stands both in the message and beside it."
            )
        content = self.payload if self.payload is not None else payload
        # An empty map is signed as no bytes, in whichever of the two forms it was sent.
        protected = self.protected if self.headers else b""
        return b"".join((_SIGN1_CONTEXT, *_strings(protected, external_aad, content or b"")))

    def verify(
        self,
        key: PublicKeyTypes,
        *,
        algorithms: Collection[Algorithm],
        understood: Collection[int | str] = (),
        implicit: Algorithm | None = None,
        external_aad: bytes = b"",
        payload: bytes | None = None,
    ) -> Algorithm:
        """Verify the signature and return the algorithm that it is of.

        Args:
            key: The signer's key, which the caller has reason to trust.
            algorithms: Those that are accepted; the message chooses among them in its protected header.
            understood: Header parameters that the caller processes, besides algorithm, content type and key
                id: others must not be critical.
            implicit: The algorithm that the application agreed on, for messages that state none where the
                signature covers it.
            external_aad: What the application adds to what is signed.
            payload: The payload, when it is detached.

        Raises:
            CoseError: ``cose.algorithm``, ``cose.critical``, ``cose.key``, ``cose.payload`` or
                ``cose.signature``.
        """
        algorithm = self.algorithm(algorithms, implicit)
        self._demand_understood(understood)
        message = self.signed(external_aad=external_aad, payload=payload)
        scheme = SCHEMES[algorithm]
        if not scheme.fits(key):
            raise CoseError("cose.key", f"The key cannot make {algorithm.name} signatures.")
        try:
            scheme.verify(key, self.signature, message)
        except InvalidSignature:
            raise CoseError("cose.signature", "The signature of a message is not its signer's.") from None
        return algorithm

    def algorithm(self, algorithms: Collection[Algorithm], implicit: Algorithm | None = None) -> Algorithm:
        """Return the algorithm of the protected header, or the one that was agreed on; see ``verify``.

        Raises:
            CoseError: ``cose.algorithm`` when there is none, or not one of these.
        """
        stated = self.headers.get(ALGORITHM, implicit)
        if not isinstance(stated, int) or isinstance(stated, bool):
            raise CoseError("cose.algorithm", "The protected header of a message states no known algorithm.")
        for algorithm in algorithms:
            if algorithm == stated:
                return algorithm
        raise CoseError("cose.algorithm", f"The algorithm {stated} is none of those accepted.")

    def _demand_understood(self, understood: Collection[int | str]) -> None:
        if CRITICAL in self.unprotected:
            raise CoseError("cose.critical", "The list of critical parameters is not protected.")
        if CRITICAL not in self.headers:
            return
        critical = self.headers[CRITICAL]
        if type(critical) is not list or not critical:
            raise CoseError("cose.critical", "The list of critical parameters is no list, or empty.")
        for label in critical:
            if type(label) not in (int, str) or label not in self.headers:
                raise CoseError("cose.critical", "A critical parameter is missing from the protected header.")
            if label not in _COMMON and label not in understood:
                raise CoseError("cose.critical", "A critical parameter is not understood.")


def _header(protected: bytes) -> dict[int | str | bytes, Any]:
    if not protected:
        return {}
    try:
        found = decode(
            protected, max_bytes=MAX_HEADER_BYTES, max_depth=MAX_HEADER_DEPTH, max_items=MAX_HEADER_ITEMS
        )
    except CborError as error:
        raise CoseError("cose.headers", f"The protected header is malformed: {error.message}") from None
    if type(found) is not dict:
        raise CoseError("cose.headers", "The protected header is no map.")
    return found


def _strings(*contents: bytes) -> list[bytes]:
    return [part for content in contents for part in (head(2, len(content)), content)]
