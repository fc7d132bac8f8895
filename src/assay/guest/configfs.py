"""The kernel's quoting interface: TSM reports in configfs, measurement registers in sysfs.

Documentation/ABI/testing/configfs-tsm-report: an entry is a directory made under
``/sys/kernel/config/tsm/report``. Writing ``inblob`` and then reading ``outblob`` gives a report.
``generation`` counts writes; if it is not what our own writes make it, somebody else wrote in between and the
report may be theirs. Linux 6.16's ``Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest``: writing
48 bytes to ``measurements/rtmr3:sha384`` extends the register.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from assay.errors import GuestError
from assay.guest.quoting import MAX_QUOTE_BYTES, REGISTER_DIGEST_BYTES, REPORT_DATA_BYTES, Quote

REPORTS = Path("/sys/kernel/config/tsm/report")
MEASUREMENTS = Path("/sys/devices/virtual/misc/tdx_guest/measurements")
ATTEMPTS = 8
_RETRY = (errno.EBUSY, errno.EINTR, errno.EWOULDBLOCK, errno.ETIMEDOUT)
_PAUSE_SECONDS = 0.01


class ConfigfsDevice:
    """The quoting device of a kernel.

    Every quote gets an entry of its own, with a random name, removed afterwards: two quotes at once never
    share one.

    Args:
        reports: Where configfs has its TSM reports.
        measurements: Where sysfs has the measurement registers.
        privilege_level: What to ask for where the platform has privilege levels (SNP's VMPL); None to leave
            it.
    """

    __slots__ = ("_measurements", "_privilege_level", "_reports")

    def __init__(
        self,
        reports: Path = REPORTS,
        measurements: Path = MEASUREMENTS,
        *,
        privilege_level: int | None = None,
    ) -> None:
        self._reports = reports
        self._measurements = measurements
        self._privilege_level = privilege_level

    def quote(self, inblob: bytes) -> Quote:
        """Return Evidence that holds ``inblob``, 64 bytes.

        Raises:
            GuestError: ``guest.quoting.input``, ``guest.quoting.unavailable``, ``guest.quoting.race`` when
                somebody kept writing to our entry, ``guest.quoting.refused``.
        """
        if len(inblob) != REPORT_DATA_BYTES:
            raise GuestError("guest.quoting.input", f"Report data has {REPORT_DATA_BYTES} bytes.")
        entry = self._reports / f"assay-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            entry.mkdir()
        except OSError as error:
            raise GuestError(
                "guest.quoting.unavailable", f"The kernel offers no report entry: {error.strerror}."
            ) from error
        try:
            for _ in range(ATTEMPTS):
                found = self._attempt(entry, inblob)
                if found is not None:
                    return found
                time.sleep(_PAUSE_SECONDS)
        except OSError as error:
            raise _refused(error) from error
        finally:
            with suppress(OSError):
                entry.rmdir()
        raise GuestError("guest.quoting.race", "Another process kept writing to the agent's report entry.")

    def extend(self, index: int, digest: bytes) -> None:
        """Extend runtime register ``index`` with ``digest``, 48 bytes.

        Raises:
            GuestError: ``guest.quoting.input``, ``guest.quoting.no_register`` when the kernel has none,
                ``guest.quoting.refused``.
        """
        if len(digest) != REGISTER_DIGEST_BYTES:
            raise GuestError("guest.quoting.input", f"A digest has {REGISTER_DIGEST_BYTES} bytes.")
        register = self._measurements / f"rtmr{index}:sha384"
        try:
            _write(register, digest)
        except FileNotFoundError as error:
            raise GuestError(
                "guest.quoting.no_register",
                f"The kernel offers no runtime register {index}; it must be Linux 6.16 or newer.",
            ) from error
        except OSError as error:
            raise _refused(error) from error

    def gone(self) -> bool:
        """Return False: a kernel's device goes with the machine."""
        return False

    def _attempt(self, entry: Path, inblob: bytes) -> Quote | None:
        """Return one report, or None when it may not be for our input."""
        try:
            before = self._generation(entry)
            writes = 1
            if self._privilege_level is not None:
                _write(entry / "privlevel", str(self._privilege_level).encode())
                writes += 1
            _write(entry / "inblob", inblob)
            outblob = _read(entry / "outblob")
            auxblob = _read(entry / "auxblob") if (entry / "auxblob").exists() else b""
            after = self._generation(entry)
        except OSError as error:
            if error.errno in _RETRY:
                return None
            raise
        if after != before + writes or not 0 < len(outblob) <= MAX_QUOTE_BYTES:
            return None
        provider = _read(entry / "provider").decode("ascii", errors="replace").strip()
        return Quote(outblob=outblob, auxblob=auxblob, generation=after, provider=provider[:64])

    def _generation(self, entry: Path) -> int:
        try:
            return int(_read(entry / "generation"))
        except ValueError as error:
            raise OSError(errno.EIO, "generation is not a number") from error


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.EIO, "the kernel took only a part")
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    parts = bytearray()
    try:
        while len(parts) <= MAX_QUOTE_BYTES and (part := os.read(descriptor, MAX_QUOTE_BYTES)):
            parts += part
    finally:
        os.close(descriptor)
    return bytes(parts)


def _refused(error: OSError) -> GuestError:
    return GuestError("guest.quoting.refused", f"The kernel refused: {error.strerror}.")
