"""What people take for evidence and is none by itself: logs, halves, and what evidence is compared with.

Naming it tells a person how to go on. Nothing rests on the name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from assay.endorsements.bundle import is_bundle
from assay.errors import AssayError, EvidenceError
from assay.verification.unsupported import DEVICES, TOKENS, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.verification.unsupported import Kinds

_SPEC_ID: Final = b"Spec ID Event"  # behind the head of a firmware log's first event
_SPEC_ID_AT: Final = 32
_PCRS: Final = 24
_IMA_LINE: Final = re.compile(rb"\s*\d{1,2} [0-9a-f]{40,128} ima[a-z0-9-]* ")
_ATTEST: Final = b"\xffTCG\x80\x18"
_TD_REPORT: Final = (bytes.fromhex("81000000"), bytes.fromhex("81000100"))
_TD_REPORT_BYTES: Final = 1024
_HCL_REPORT: Final = b"HCLA"
_REVOCATION_LIST: Final = b"-----BEGIN X509 CRL-----"
_DER: Final = b"\x30"
_OCSP_RESPONSE: Final = re.compile(rb"\x30\x82..\x0a\x01\x00\xa0", re.DOTALL)
_RIM: Final = b"SoftwareIdentity"
_RIM_HEAD: Final = 512
_ENCLAVE_IMAGE: Final = b".eif"
_CORIM: Final = b"\xd9\x01\xf5"
_SIGNED: Final = b"\xd2"

_TOGETHER: Final = (
    "Give report and quote together, as JSON: version, tpm_quote, hcl_report, and vcek or td_quote."
)
_LOG_EVENTS: Final = (frozenset({"imr", "digest"}), frozenset({"recnum", "digests"}))
_DOCUMENTS: Final = (
    frozenset({"tcbInfo", "signature"}),
    frozenset({"enclaveIdentity", "signature"}),
    frozenset({"tcb_info", "qe_identity"}),
)
_KEY_SET: Final = frozenset({"keys"})
_ENVELOPE: Final = frozenset({"payload", "payloadType", "signatures"})


def refuse_known(data: bytes) -> None:
    """Say what bytes are that hold no evidence, where their beginning tells.

    Raises:
        EvidenceError: ``verification.evidence.hcl_alone``, ``.quote_alone``, ``.local_report``,
            ``.endorsement``, ``.values``, ``.result`` or ``.token``.
    """
    refuse(_KNOWN, data)


def refuse_read(data: bytes) -> None:
    """Say what bytes are that hold no evidence, where it takes reading them.

    Raises:
        EvidenceError: ``verification.evidence.endorsement``, ``.quote_alone``, ``.unsupported`` or
            ``.log_alone``.
    """
    refuse(_READ, data)


def refuse_known_json(document: Any) -> None:
    """Say the same of decoded JSON.

    Raises:
        EvidenceError: ``verification.evidence.log_alone``, ``.endorsement`` or ``.values``.
    """
    if type(document) is list and document and type(document[0]) is dict:
        if any(members <= document[0].keys() for members in _LOG_EVENTS):
            raise _log_alone()
    elif type(document) is dict:
        if document.keys() == _KEY_SET or any(members <= document.keys() for members in _DOCUMENTS):
            raise _endorsement()
        if document.keys() == _ENVELOPE:
            raise _values()


def _is_log(data: bytes) -> bool:
    from assay.evidence.eventlog.cel import parse_cel  # noqa: PLC0415 - where nothing else fits
    from assay.evidence.eventlog.cel_json import parse_cel_json  # noqa: PLC0415 - the same
    from assay.evidence.eventlog.legacy import parse_boot_log  # noqa: PLC0415 - the same
    from assay.evidence.ima.entries import digest_algorithm, frames  # noqa: PLC0415 - the same

    if data[_SPEC_ID_AT:].startswith(_SPEC_ID) or _IMA_LINE.match(data):
        return True

    def firmware(data: bytes) -> bool:
        # The old format has no beginning of its own: nearly any zeros are one event and padding.
        registers = [event.register for event in parse_boot_log(data).events if event.extended]
        return max(registers, default=_PCRS) < _PCRS

    parsers = (
        firmware,
        parse_cel,
        parse_cel_json,
        lambda data: [*frames(data, digest_algorithm(data))],
    )
    return any(_reads(parse, data) for parse in parsers)


def _reads(read: Callable[[bytes], object], data: bytes) -> bool:
    try:
        return bool(read(data))
    except AssayError:
        return False


def _vouches(data: bytes) -> bool:
    from assay.evidence.x509.revocation import GeneralRevocationList  # noqa: PLC0415 - the same

    text = data.lstrip()
    if is_bundle(data) or text.startswith(_REVOCATION_LIST) or _OCSP_RESPONSE.match(data):
        return True
    if text.startswith(b"<"):
        return _RIM in text[:_RIM_HEAD]
    return data.startswith(_DER) and _reads(GeneralRevocationList.parse, data)


def _is_image_or_corim(data: bytes) -> bool:
    if not data.startswith(_SIGNED):
        return data.startswith((_ENCLAVE_IMAGE, _CORIM))
    from assay.reference import corim  # noqa: PLC0415 - the same

    return _reads(corim.decode, data)


def _is_quote(data: bytes) -> bool:
    sized = int.from_bytes(data[:2], "big") == len(data) - 2
    return data.startswith(_ATTEST) or (sized and data[2:].startswith(_ATTEST))


def _is_local_report(data: bytes) -> bool:
    return len(data) == _TD_REPORT_BYTES and data.startswith(_TD_REPORT)


def _is_certificate_table(data: bytes) -> bool:
    from assay.evidence.snp.table import ARK, ASK, CRL, VCEK, VLEK, parse_table  # noqa: PLC0415 - the same

    known = (ARK, ASK, CRL, VCEK, VLEK)
    return data.startswith(known) and _reads(parse_table, data)


def _is_azure_quote(data: bytes) -> bool:
    from assay.evidence.azure.forms import read_bincode_quote  # noqa: PLC0415 - where nothing else fits

    return _reads(lambda found: _is_quote(read_bincode_quote(found).message), data)


def _log_alone() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.log_alone",
        "The file is an event log alone: only a quote of the registers that it explains can prove it.",
        action="Give the quote with the log: of a TD as `assay verify QUOTE --event-log FILE`; of a TPM both"
        " in one piece of evidence.",
    )


def _hcl_alone() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.hcl_alone",
        "The file is the HCL report of an Azure VM alone; without a quote of the vTPM nothing shows whose"
        " it is, or that it is new.",
        action=_TOGETHER,
    )


def _quote_alone() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.quote_alone",
        "The file is what a TPM signed alone, without the signature and the values of the registers.",
        action="Put quote, signature, PCR values and logs into one file: TpmEvidence of"
        " assay.evidence.tpm.container writes it.",
    )


def _azure_quote_alone() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.quote_alone",
        "The file is a quote of an Azure VM's TPM alone, without the HCL report that holds its key.",
        action=_TOGETHER,
    )


def _local_report() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.local_report",
        "The file is a TD report, whose MAC only the processor that made it can check.",
        action="Have a quote made of it on that machine: configfs-tsm gives one.",
    )


def _endorsement() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.endorsement",
        "The file vouches for evidence and is none: a revocation list, keys or documents of a vendor.",
        action="Name it with --endorsements beside the evidence that it is for.",
    )


def _table_alone() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.endorsement",
        "The file is the certificate table of an SEV-SNP host alone, without the report that it is for.",
        action="Put it behind its report in one file, as an extended report has it.",
    )


def _values() -> EvidenceError:
    return EvidenceError(
        "verification.evidence.values",
        "The file says what evidence should report and is none: an image or Reference Values.",
        action="Measure an image with `assay measure`, read a CoRIM with `assay reference import`, and name"
        " signed values with --reference-manifest.",
    )


_KNOWN: Final[Kinds] = (
    (lambda data: data.startswith(_HCL_REPORT), _hcl_alone),
    (_is_quote, _quote_alone),
    (_is_local_report, _local_report),
    (_vouches, _endorsement),
    (_is_image_or_corim, _values),
    *TOKENS,
)
_READ: Final[Kinds] = (
    (_is_certificate_table, _table_alone),
    (_is_azure_quote, _azure_quote_alone),
    *DEVICES,
    (_is_log, _log_alone),
)
