"""What a VCEK or VLEK certificate says of the key: product, TCB version, chip or provider.

Extensions below 1.3.6.1.4.1.3704.1 (KDS interface specification, section 3): structVersion (.1) and each
component (.3.x) as INTEGER, productName (.2) and CSP_ID (.5) as IA5String, HWID (.4) as its bare bytes; some
certificates of 2023 have the HWID as an OCTET STRING inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from assay.evidence.decoding.der import INTEGER, OCTET_STRING, DerError, DerReader
from assay.evidence.records import record
from assay.evidence.snp.products import LAYOUTS, Product, product_of_name
from assay.evidence.x509.general import KeyKind, SignatureAlgorithm
from assay.evidence.x509.path import KEY_CERT_SIGN, PathLength, Position

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["vcek", "vlek"]
KINDS: Final[tuple[Kind, ...]] = ("vcek", "vlek")

_ARC: Final = bytes.fromhex("2b060104019c7801")  # 1.3.6.1.4.1.3704.1
_STRUCT_VERSION: Final = _ARC + b"\x01"
_PRODUCT_NAME: Final = _ARC + b"\x02"
_HWID: Final = _ARC + b"\x04"
_CSP_ID: Final = _ARC + b"\x05"
_IA5_STRING: Final = 0x16
_MAX_CSP_ID: Final = 128
_WRAPPED_HWID: Final = tuple(2 + layout.hwid_bytes for layout in LAYOUTS.values())

# Identifier and name of the component at each byte of a TCB_VERSION, by structVersion.
_COMPONENTS: Final = {
    version: tuple((_ARC + bytes([3, arc]), f"component 3.{arc}") for arc in arcs)
    for version, arcs in (
        (0, (1, 2, 4, 5, 6, 7, 3, 8)),  # bl, tee, four reserved, snp, ucode
        (1, (9, 1, 2, 3, 5, 6, 7, 8)),  # fmc, bl, tee, snp, three reserved, ucode
    )
}

_PSS: Final = frozenset({SignatureAlgorithm.RSA_PSS_SHA384})
_RSA: Final = frozenset({KeyKind.RSA})


@record
class VekExtensions:
    """The statements of one certificate.

    Attributes:
        struct_version: 0 for Milan and Genoa, 1 for Turin.
        product_name: ``Milan-B0``, ``Genoa``, ``Turin``.
        product: The product line that it names; None when it names none, or a VLEK names a stepping.
        tcb: The TCB version that the key was derived from, 8 bytes as in a report.
        hwid: The chip; None in a VLEK.
        csp_id: The provider; None in a VCEK.
    """

    struct_version: int
    product_name: str
    product: Product | None
    tcb: bytes
    hwid: bytes | None
    csp_id: str | None

    @classmethod
    def parse(cls, extensions: Mapping[bytes, tuple[bool, bytes]], kind: Kind) -> VekExtensions:
        """Decode the extensions of a certificate of this kind.

        Raises:
            DerError: One is malformed, missing, or of the other kind; or there is one in AMD's arc that is
                not known here.
        """
        found = {oid: value for oid, (_, value) in extensions.items() if oid.startswith(_ARC)}
        version = _integer(found, _STRUCT_VERSION, "structVersion")
        arcs = _COMPONENTS.get(version)
        if arcs is None:
            raise DerError(f"The structVersion of a {kind.upper()} is {version}, not 0 or 1.")
        name = _text(found, _PRODUCT_NAME, "productName")
        tcb = bytes([_integer(found, oid, name_of) for oid, name_of in arcs])
        hwid: bytes | None = None
        csp_id: str | None = None
        if kind == "vcek":
            hwid = _hwid(found)
        else:
            csp_id = _text(found, _CSP_ID, "CSP_ID")
        if found:
            raise DerError(f"A {kind.upper()} has an extension of AMD's that does not belong there.")
        product = product_of_name(name, stepping=kind == "vcek")
        if product is not None:
            layout = LAYOUTS[product]
            if layout.struct_version != version or (hwid is not None and len(hwid) != layout.hwid_bytes):
                raise DerError(f"The structVersion or the HWID of a {kind.upper()} is not that of {product}.")
        return cls(version, name, product, tcb, hwid, csp_id)


def _take(found: dict[bytes, bytes], oid: bytes, name: str) -> DerReader:
    value = found.pop(oid, None)
    if value is None:
        raise DerError(f"The extension {name} is missing.")
    return DerReader(value)


def _integer(found: dict[bytes, bytes], oid: bytes, name: str) -> int:
    value = found.get(oid, b"")
    if len(value) == 3 and value[0] == INTEGER and value[1] == 1 and value[2] < 0x80:
        del found[oid]
        return value[2]
    reader = _take(found, oid, name)
    number = reader.integer()
    reader.finish()
    if number > 0xFF:
        raise DerError(f"The extension {name} does not fit a byte.")
    return number


def _text(found: dict[bytes, bytes], oid: bytes, name: str) -> str:
    reader = _take(found, oid, name)
    content = reader.value(_IA5_STRING)
    reader.finish()
    if not 0 < len(content) <= _MAX_CSP_ID or not all(0x20 <= byte < 0x7F for byte in content):
        raise DerError(f"The extension {name} is empty, too long, or not printable.")
    return content.decode("ascii")


def _hwid(found: dict[bytes, bytes]) -> bytes:
    value = found.pop(_HWID, None)
    if value is None:
        raise DerError("A VCEK has no HWID.")
    if len(value) not in _WRAPPED_HWID:
        return value
    reader = DerReader(value)
    content = reader.value(OCTET_STRING)
    reader.finish()
    return content


def authority_name(product: Product, kind: Kind) -> str:
    """Return the common name of the issuer of VCEKs or VLEKs of a product."""
    return f"SEV-{product}" if kind == "vcek" else f"SEV-VLEK-{product}"


AUTHORITIES: Final[Mapping[str, tuple[Product, Kind]]] = {
    authority_name(product, kind): (product, kind) for product in Product for kind in KINDS
}
"""Which product and kind of key the authority of a name issues for."""

VEK_POSITIONS: Final[Mapping[Kind, Position]] = {
    kind: Position(
        title=kind.upper(),
        authority=False,
        names=frozenset({f"SEV-{kind.upper()}"}),
        keys=frozenset({KeyKind.P384}),
        algorithms=_PSS,
        usage_required=False,
        constraints_required=False,
    )
    for kind in KINDS
}
"""What a VCEK or VLEK certificate must be: a P-384 key that issues nothing."""

AUTHORITY_POSITIONS: Final[Mapping[str, Position]] = {
    name: Position(
        title="ASK" if kind == "vcek" else "ASVK",
        authority=True,
        names=frozenset({name}),
        keys=_RSA,
        algorithms=_PSS,
        path_length=0,
        usage=KEY_CERT_SIGN,
    )
    for name, (_, kind) in AUTHORITIES.items()
}
"""What the ASK (for VCEKs) or ASVK (for VLEKs) of this name must be."""

ROOT_POSITIONS: Final[Mapping[Product, Position]] = {
    product: Position(
        title="ARK",
        authority=True,
        names=frozenset({f"ARK-{product}"}),
        keys=_RSA,
        algorithms=_PSS,
        path_length=PathLength.ANY,
        usage=KEY_CERT_SIGN,
    )
    for product in Product
}
"""What the ARK of a product must be."""
