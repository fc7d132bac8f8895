"""Attestations of Oasis nodes: an SGX quote in CBOR, with the documents of Intel that its maker had.

    attestation  {v: 1, quote: {pcs: bundle}, height: number, signature: bytes}, as a node registers with it
    bundle       {quote: bytes, tcb: {certs: PEM, tcb_info: {tcb_info: bytes, signature: hex},
                 qe_id: {enclave_identity: bytes, signature: hex}}}

The documents vouch for the quote under their own signatures, as the answers of Intel's service that they are;
the revocation lists are not among them. Height and signature of an attestation nobody looks at: the signature
is the enclave's own, by a key that its report data bind.

Source: Oasis Core, ``go/common/sgx/pcs/tcb.go`` and ``go/common/node/sgx.go``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.decoding.cbor import CborError, decode
from assay.verification.collateral import PCS_FILES
from assay.verification.opened import Opened, noted, unrecognised
from assay.verification.recognition import recognise

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION: Final = 1
_BUNDLE: Final = {"quote", "tcb"}
_TCB: Final = {"certs": bytes, "tcb_info": dict, "qe_id": dict}
_TEES: Final = ("sgx", "tdx")
_MAX_ITEMS: Final = 64


def open_oasis(data: bytes) -> tuple[Opened, ...] | None:
    """Open an attestation, or the bundle alone; None when the bytes are another map, or none.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised`` when it holds no quote, or when what came with
            it has other parts than it should.
    """
    try:
        found = decode(data, max_bytes=len(data), max_items=_MAX_ITEMS)
    except CborError:
        return None
    if found.keys() == _BUNDLE:
        return _of_bundle(found, "from a bundle of an Oasis node", [])
    inner = found.get("quote")
    if found.get("v") != _VERSION or type(inner) is not dict or type(inner.get("pcs")) is not dict:
        return None
    left = [*(str(name) for name in found.keys() - {"v", "quote"}), *_named("quote", inner.keys() - {"pcs"})]
    return _of_bundle(inner["pcs"], "from an attestation of an Oasis node", left)


def _of_bundle(bundle: Mapping[Any, Any], form: str, left: list[str]) -> tuple[Opened, ...]:
    quote, tcb = bundle.get("quote"), bundle.get("tcb")
    platform = recognise(quote) if type(quote) is bytes else None
    if type(quote) is not bytes or platform not in _TEES:
        raise unrecognised("The attestation of an Oasis node holds no quote of SGX or TDX.")
    if type(tcb) is not dict or {name: type(value) for name, value in tcb.items()} != _TCB:
        raise unrecognised("The documents beside the quote of an Oasis node are not those of Intel.")
    beside = {
        PCS_FILES["tcb_info"]: _answer(tcb["tcb_info"], "tcb_info", "tcbInfo"),
        PCS_FILES["tcb_info_issuer_chain"]: tcb["certs"],
        PCS_FILES["qe_identity"]: _answer(tcb["qe_id"], "enclave_identity", "enclaveIdentity"),
        PCS_FILES["qe_identity_issuer_chain"]: tcb["certs"],
    }
    part = Opened(quote, platform, f"{len(quote)} bytes, {form}", beside=beside)
    return noted((part,), [*left, *_named("pcs", bundle.keys() - _BUNDLE)])


def _answer(document: Mapping[Any, Any], name: str, member: str) -> bytes:
    """Write a document and its signature as Intel's service answers with them: its bytes stay as they are."""
    signed, signature = document.get(name), document.get("signature")
    if len(document) != 2 or type(signed) is not bytes or type(signature) is not str:
        raise unrecognised(f"The {name} beside the quote of an Oasis node has other parts than it should.")
    return b'{"%s":%s,"signature":%s}' % (member.encode(), signed, json.dumps(signature).encode())


def _named(above: str, names: Any) -> list[str]:
    return [f"{above}.{name}" for name in names]
