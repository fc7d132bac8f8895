"""Evidence of Project Oak: a report of the hardware, and the chain of keys that its software made.

    Evidence           root_layer (1), layers (2, repeated), application_keys (3), event_log (4),
                       transparent_event_log (5), signed_user_data_certificate (7)
    RootLayerEvidence  platform (1, an enumeration), remote_attestation_report (2), eca_public_key (3)

The report is opened. The data of an SEV-SNP report are the SHA-256 of ``eca_public_key`` as it stands here,
and zeros; each layer's certificate is signed with the key of the one below it. Nobody looks at any of that:
all of it is listed as not verified.

Source: Project Oak, ``proto/attestation/evidence.proto``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.evidence.google_vm.protobuf import ProtobufError, one_bytes, one_int, read_message
from assay.verification.opened import Opened, noted, unrecognised
from assay.verification.recognition import recognise
from assay.verification.unsupported import unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.google_vm.protobuf import Field

_ROOT: Final = 1
_PARTS: Final = {
    2: "layers",
    3: "application_keys",
    4: "event_log",
    5: "transparent_event_log",
    7: "signed_user_data_certificate",
}
_PLATFORM, _REPORT, _KEY = 1, 2, 3
_ROOT_FIELDS: Final = {_PLATFORM: int, _REPORT: bytes, _KEY: bytes}
_PLATFORMS: Final = {1: "snp", 2: "tdx"}
_NO_HARDWARE: Final = 3
_LEAST_REPORT: Final = 1024  # a message that begins alike has none in this place


def open_oak(data: bytes) -> tuple[Opened, ...] | None:
    """Open such evidence; None when the bytes are another message, or none.

    Raises:
        EvidenceError: ``verification.evidence.unrecognised`` when it holds no report of the platform that it
            names, ``verification.evidence.unsupported`` when it says that no hardware made it.
    """
    try:
        evidence = read_message(data, dict.fromkeys((_ROOT, *_PARTS), bytes))
        root = read_message(one_bytes(evidence, _ROOT), _ROOT_FIELDS)
        platform, report = one_int(root, _PLATFORM), one_bytes(root, _REPORT)
    except ProtobufError:
        return None  # many things begin like it
    if len(report) < _LEAST_REPORT:
        return None
    if platform == _NO_HARDWARE:
        raise unsupported("evidence of Project Oak that was made without a TEE")
    found = _PLATFORMS.get(platform)
    if found is None or recognise(report) != found:
        raise unrecognised("The evidence of Project Oak holds no report of the platform that it names.")
    form = f"{len(report)} bytes, from evidence of Project Oak"
    return noted((Opened(report, found, form),), _left(evidence, root))


def _left(evidence: Mapping[int, list[Field]], root: Mapping[int, list[Field]]) -> list[str]:
    named = [name for number, name in _PARTS.items() if number in evidence]
    return [*named, "root_layer.eca_public_key"] if _KEY in root else named
