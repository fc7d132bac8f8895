"""Certificates with dstack's extensions, and the logs in them."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.dstack import from_certificate
from assay.evidence.dstack.certificate import MAX_UNPACKED_LOG_BYTES, Extension, leaf_of_chain, unpack_log
from support.dstack_encodings import certificate, compressed, version_0
from support.dstack_guest import log_json, system_events

LOG = log_json(system_events())


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return certificates of both kinds, and a compressed log."""
    return [
        certificate({Extension.QUOTE: b"quote", Extension.EVENT_LOG: compressed(LOG)}),
        certificate({Extension.ATTESTATION: version_0(b"quote", system_events())}),
        compressed(LOG),
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ]


def target(data: bytes) -> None:
    """Take the input as a certificate, as a chain and as a log."""
    for work in (from_certificate, leaf_of_chain):
        try:
            work(data)
        except AssayError:
            continue
    try:
        log = unpack_log(data)
    except AssayError:
        return
    if log is not data and len(log) > MAX_UNPACKED_LOG_BYTES:
        raise RuntimeError("a log was unpacked beyond its bound")
