"""Attacks on the quote itself: layout, signatures, the report of the Quoting Enclave, freshness."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from assay.simulator.attacks import attack
from assay.simulator.pki import derive_key

if TYPE_CHECKING:
    from assay.simulator.scene import Scene

MODERN = (4, 5)


@attack("truncated", "The quote ends in the middle of its certificates.", code="dcap.quote.truncated")
def _truncated(scene: Scene) -> None:
    scene.after_quote = lambda quote: quote[: len(quote) - 1000]


@attack("unknown-version", "The quote has a format that does not exist.", code="dcap.quote.version")
def _unknown_version(scene: Scene) -> None:
    scene.after_quote = lambda quote: b"\x09\x00" + quote[2:]


@attack(
    "unknown-key-type",
    "The header says that the attestation key is of another kind.",
    code="dcap.quote.key_type",
)
def _unknown_key_type(scene: Scene) -> None:
    scene.quote.header["att_key_type"] = 3


@attack("wrong-tee", "The quote is genuine, of the other TEE than was asked for.", code="dcap.quote.platform")
def _wrong_tee(scene: Scene) -> None:
    if scene.platform == "tdx":
        scene.quote = scene.machine.enclave().draft(scene.report_data, version=4)
    else:
        scene.quote = scene.machine.trust_domain().draft(scene.report_data, version=4)


@attack("wrong-vendor", "The Quoting Enclave is not of Intel's vendor id.", code="dcap.quote.vendor")
def _wrong_vendor(scene: Scene) -> None:
    scene.quote.header["qe_vendor_id"] = b"\x01" * 16


@attack(
    "reserved-bytes",
    "Reserved bytes of the signed report or header are not zero.",
    code="dcap.quote.reserved",
)
def _reserved_bytes(scene: Scene) -> None:
    if scene.platform == "tdx":
        scene.quote.header["qe_svn"] = 1
    else:
        scene.quote.body["reserved_4"] = b"\x01" * 42


@attack(
    "outer-cert-type",
    "The certification data says that it is something else than the report of a Quoting Enclave.",
    code="dcap.quote.certification_type",
    versions=MODERN,
)
def _outer_cert_type(scene: Scene) -> None:
    scene.quote.outer_type = 7


@attack(
    "inner-cert-type",
    "The certificate chain says that it is an encrypted id.",
    code="dcap.quote.certification_type",
)
def _inner_cert_type(scene: Scene) -> None:
    scene.quote.inner_type = 3


@attack(
    "junk-in-auth-data",
    "Bytes that nothing signs stand behind the certificates, inside the signature section.",
    code="dcap.quote.length",
)
def _junk_in_auth_data(scene: Scene) -> None:
    scene.quote.after_wrapper = b"junk"


@attack(
    "junk-after-certificates",
    "Bytes that nothing signs stand behind the certificates, inside the certification data.",
    code="dcap.quote.length",
    versions=MODERN,
)
def _junk_after_certificates(scene: Scene) -> None:
    scene.quote.after_certification = b"junk"


@attack("junk-after-quote", "Bytes other than zeros follow the quote.", code="dcap.quote.trailing")
def _junk_after_quote(scene: Scene) -> None:
    scene.quote.after_section = b"junk"


@attack("forged-body", "One bit of the signed body was changed.", code="dcap.quote.signature")
def _forged_body(scene: Scene) -> None:
    offset = 48 + (6 if scene.version == 5 else 0) + (136 if scene.platform == "tdx" else 64)
    scene.after_quote = lambda quote: _flip(quote, offset)


@attack(
    "forged-signature",
    "The quote is signed by another key than the one it shows.",
    code="dcap.quote.signature",
)
def _forged_signature(scene: Scene) -> None:
    offset = 48 + (6 if scene.version == 5 else 0) + len(scene.quote.body.data) + 4
    scene.after_quote = lambda quote: _flip(quote, offset + 40)


@attack(
    "qe-report-forged",
    "The report of the Quoting Enclave is signed by a key that no certificate vouches for.",
    code="dcap.qe_report.signature",
)
def _qe_report_forged(scene: Scene) -> None:
    scene.quote.pck_key = derive_key(b"a thief", "PCK")


@attack(
    "attestation-key-unbound",
    "The report of the Quoting Enclave vouches for another attestation key.",
    code="dcap.qe_report.data",
)
def _attestation_key_unbound(scene: Scene) -> None:
    scene.quote.qe_binding = hashlib.sha256(b"another key").digest().ljust(64, b"\0")


@attack(
    "qe-report-data-tail",
    "The second half of the report data of the Quoting Enclave is not zero.",
    code="dcap.qe_report.data_tail",
)
def _qe_report_data_tail(scene: Scene) -> None:
    scene.quote.encode()
    scene.quote.qe_binding = scene.quote.qe_report["report_data"][:32] + b"\x01" * 32


@attack(
    "odd-qe-auth",
    "The authentication data of the Quoting Enclave has an unusual, legal size.",
    code="",
)
def _odd_qe_auth(scene: Scene) -> None:
    scene.quote.qe_auth = b"odd"


@attack("qe-debug", "The Quoting Enclave runs in debug mode.", code="dcap.qe_report.debug")
def _qe_debug(scene: Scene) -> None:
    attributes = bytearray(scene.quote.qe_report["attributes"])
    attributes[0] |= 0x02
    scene.quote.qe_report["attributes"] = bytes(attributes)


@attack("qe-wrong-signer", "Somebody else signed the Quoting Enclave.", code="dcap.qe_report.identity")
def _qe_wrong_signer(scene: Scene) -> None:
    scene.quote.qe_report["mr_signer"] = b"\x01" * 32


@attack("qe-wrong-product", "Another enclave of the same signer quotes.", code="dcap.qe_report.identity")
def _qe_wrong_product(scene: Scene) -> None:
    scene.quote.qe_report["isv_prod_id"] = 9


@attack("stale-nonce", "The quote was made for an earlier session.", code="{platform}.binding.mismatch")
def _stale_nonce(scene: Scene) -> None:
    scene.quote.body["report_data"] = hashlib.sha512(b"an earlier session").digest()


@attack(
    "half-binding",
    "Only the first 32 bytes of the report data are the expected ones.",
    code="{platform}.binding.mismatch",
)
def _half_binding(scene: Scene) -> None:
    scene.quote.body["report_data"] = scene.report_data[:32] + hashlib.sha256(scene.report_data).digest()


def _flip(data: bytes, offset: int) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 0x01
    return bytes(changed)
