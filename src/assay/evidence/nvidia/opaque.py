"""The opaque data of NVIDIA's measurements: fields of type (2 bytes), size (2 bytes) and value.

Integers are little-endian. Source: the decoders of NVIDIA's attestation SDK.

     3  driver version, ASCII, NUL          19  board SKU modifier          26  device ids behind a switch
     6  VBIOS version                       20  FWID, 48 bytes              33  what is enabled
    11  video decoder 0: 0xAA on, 0x55 off  21  protected PCIe: 0xAA, 0x55  34  version of this format
    14  board id                            22  device ids of switches      35  chip name, ASCII, NUL
    15  chip SKU, ASCII, NUL                23  ports that are off          36  mode: 0 SPT, 1 MPT, 2 PPCIE
    16  chip SKU modifier                   24  position of a switch
    17  board project, ASCII, NUL           25  whether a switch is locked
    18  board SKU, ASCII, NUL
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from assay.evidence.nvidia import checks
from assay.evidence.nvidia.claims import DeviceKind, Mode
from assay.evidence.nvidia.spdm import DIGEST_BYTES, SpdmError
from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVER_VERSION: Final = 3
VBIOS_VERSION: Final = 6
NVDEC0: Final = 11
CHIP_SKU: Final = 15
PROJECT: Final = 17
PROJECT_SKU: Final = 18
FWID: Final = 20
PROTECTED_PCIE: Final = 21
SWITCH_PDI: Final = 22
SWITCH_LOCK: Final = 25
GPU_PDIS: Final = 26
FORMAT_VERSION: Final = 34
CHIP_INFO: Final = 35
FEATURE_FLAG: Final = 36

PDI_BYTES: Final = 8
MOST_GPU_PDIS: Final = 8
_NEWEST_FORMAT: Final = 1
_ON, _OFF = 0xAA, 0x55
_HEAD: Final = Struct("<HH")
_MOST_FIELDS: Final = 64
_LONGEST_TEXT: Final = 64
_MODES: Final = {0: Mode.SPT, 1: Mode.MPT, 2: Mode.PPCIE}
# Each kind of device must state these; sizes in bytes, None for text.
_REQUIRED: Final[Mapping[DeviceKind, Mapping[int, int | None]]] = {
    DeviceKind.GPU: {DRIVER_VERSION: None, VBIOS_VERSION: 8, NVDEC0: 1},
    DeviceKind.SWITCH: {VBIOS_VERSION: None, SWITCH_PDI: PDI_BYTES},
}


def _error(message: str) -> SpdmError:
    return SpdmError(checks.REPORT_OPAQUE, "nvidia.report.opaque", message)


def _mode_error(message: str) -> SpdmError:
    return SpdmError(checks.REPORT_MODE, "nvidia.report.mode", message)


@record
class OpaqueFacts:
    """What the fields of one report say, decoded for a kind of device; see ``DeviceClaims``."""

    driver_version: str
    vbios_version: str
    project: str
    project_sku: str
    chip_sku: str
    chip_info: str
    fwid: bytes
    mode: Mode
    protected_pcie: bool | None
    nvdec0_disabled: bool
    pdi: bytes | None
    switch_pdis: frozenset[bytes]
    gpu_pdis: tuple[bytes, ...]
    switch_locked: bool | None


class OpaqueData:
    """The fields of one report; nothing about them is verified.

    Args:
        data: The report.
        start: Offset of the first field.
        end: Offset behind the last.

    Attributes:
        fields: Number of the field -> its value.

    Raises:
        SpdmError: A field does not fit, stands there twice, or there are too many.
    """

    __slots__ = ("fields",)

    def __init__(self, data: bytes, start: int, end: int) -> None:
        found: dict[int, bytes] = {}
        pos = start
        while pos < end:
            if pos + 4 > end or len(found) == _MOST_FIELDS:
                raise _error("The opaque data ends inside a field, or has too many.")
            number, size = _HEAD.unpack_from(data, pos)
            pos += 4
            if pos + size > end or number in found:
                raise _error("A field of the opaque data does not fit, or stands there twice.")
            found[number] = data[pos : pos + size]
            pos += size
        self.fields: Mapping[int, bytes] = found

    def decode(self, kind: DeviceKind) -> OpaqueFacts:
        """Return what the fields say; a device must state what its kind must, in a format that is known.

        Raises:
            SpdmError: A field is missing, of another size, or says what is not known here.
        """
        if self._number(FORMAT_VERSION, 2) > _NEWEST_FORMAT:
            raise _error("The opaque data is of a format that is newer than this verifier.")
        for number, size in _REQUIRED[kind].items():
            value = self.fields.get(number)
            if not value or (size is not None and len(value) != size):
                raise _error(f"Field {number} of the opaque data is missing or of another size.")
        switch = kind is DeviceKind.SWITCH
        ids = () if switch else self._pdis(SWITCH_PDI)
        return OpaqueFacts(
            driver_version=self._text(DRIVER_VERSION),
            vbios_version=self._firmware(kind),
            project=self._text(PROJECT),
            project_sku=self._text(PROJECT_SKU),
            chip_sku=self._text(CHIP_SKU),
            chip_info=self._text(CHIP_INFO),
            fwid=self._firmware_id(),
            mode=Mode.UNSTATED if switch else self._mode(),
            protected_pcie=self._switch(PROTECTED_PCIE),
            nvdec0_disabled=self._switch(NVDEC0) is False,
            pdi=self.fields[SWITCH_PDI] if switch else None,
            # A GPU writes the ids of its switches the other way round than these do themselves.
            switch_pdis=frozenset(pdi[::-1] for pdi in ids if any(pdi)),
            gpu_pdis=tuple(pdi for pdi in self._pdis(GPU_PDIS)[:MOST_GPU_PDIS] if any(pdi)),
            switch_locked=self._number(SWITCH_LOCK, 2) == 1 if SWITCH_LOCK in self.fields else None,
        )

    def _number(self, number: int, size: int) -> int:
        value = self.fields.get(number)
        if value is None:
            return 0
        if len(value) != size:
            raise _error(f"Field {number} of the opaque data is of another size.")
        return int.from_bytes(value, "little")

    def _text(self, number: int) -> str:
        """Return an ASCII field without the NULs at its end; empty when it is not there.

        Raises:
            SpdmError: It is no printable ASCII of at most 64 characters.
        """
        value = self.fields.get(number, b"").rstrip(b"\0")
        if len(value) > _LONGEST_TEXT or not value.isascii() or not value.decode("ascii").isprintable():
            raise _error(f"Field {number} of the opaque data is no short text.")
        return value.decode("ascii")

    def _firmware(self, kind: DeviceKind) -> str:
        """Return the version of the firmware, five bytes in hexadecimal with dots."""
        if kind is DeviceKind.SWITCH:
            return self._text(VBIOS_VERSION)
        raw = self.fields[VBIOS_VERSION]
        return ".".join(f"{value:02X}" for value in (raw[3], raw[2], raw[1], raw[0], raw[4]))

    def _firmware_id(self) -> bytes:
        """Return the digest of the firmware; empty when it is not there, as from switches and older GPUs.

        Raises:
            SpdmError: It is no SHA-384 digest.
        """
        value = self.fields.get(FWID)
        if value is None:
            return b""
        if len(value) != DIGEST_BYTES:
            raise _error(f"Field {FWID} of the opaque data is of another size.")
        return value

    def _switch(self, number: int) -> bool | None:
        """Return whether something is on (0xAA) or off (0x55); None when the report does not say.

        Raises:
            SpdmError: It is neither.
        """
        value = self.fields.get(number)
        if value is None:
            return None
        if value not in (bytes([_ON]), bytes([_OFF])):
            raise _error(f"Field {number} of the opaque data says neither on nor off.")
        return value[0] == _ON

    def _pdis(self, number: int) -> tuple[bytes, ...]:
        """Return device ids, 8 bytes each.

        Raises:
            SpdmError: The field is not made of whole ones.
        """
        value = self.fields.get(number, b"")
        if len(value) % PDI_BYTES:
            raise _error("A list of device ids is not made of whole ones.")
        return tuple(value[at : at + PDI_BYTES] for at in range(0, len(value), PDI_BYTES))

    def _mode(self) -> Mode:
        """Return how the GPU is passed through.

        Raises:
            SpdmError: The mode is not known, or says otherwise than the state of protected PCIe.
        """
        if FEATURE_FLAG not in self.fields:
            return Mode.PPCIE if self._switch(PROTECTED_PCIE) else Mode.UNSTATED
        found = _MODES.get(self._number(FEATURE_FLAG, 2))
        if found is None:
            raise _mode_error("The report states a mode that is not known here.")
        protected = self._switch(PROTECTED_PCIE)
        if protected is not None and protected is not (found is Mode.PPCIE):
            raise _mode_error("The report's mode contradicts its state of protected PCIe.")
        return found
