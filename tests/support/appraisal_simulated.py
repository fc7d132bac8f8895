"""Simulated evidence in files, as a person has it at hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assay.simulator.intel import STATE_DIRECTORY, Installation

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
AT_TEXT = "2026-11-10T09:30Z"
REPORT_DATA = bytes(range(64))


@dataclass(frozen=True)
class Files:
    """One quote with everything that its verification needs.

    Attributes:
        directory: Where the files are.
        state: The state directory of the installation that made them.
        quote: The quote.
        collateral: Its collateral.
        root: The root, PEM.
    """

    directory: Path
    state: Path
    quote: Path
    collateral: Path
    root: Path

    def words(self, *more: str, report_data: str = REPORT_DATA.hex()) -> list[str]:
        """Return a command line that verifies the quote."""
        return [
            "verify", str(self.quote), "--collateral", str(self.collateral), "--roots", str(self.root),
            "--at", AT_TEXT, "--report-data", report_data, *more,
        ]  # fmt: skip


def simulated_files(
    directory: Path,
    *,
    platform: Any = "tdx",
    fields: dict[str, Any] | None = None,
    machine: dict[str, Any] | None = None,
) -> Files:
    """Make simulated evidence under a new installation in ``directory``."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    installation = Installation.create(state / STATE_DIRECTORY)
    made = installation.machine("one", **(machine or {}))
    if platform == "tdx":
        quote = made.trust_domain(**(fields or {})).quote(REPORT_DATA)
    else:
        quote = made.enclave(**(fields or {})).quote(REPORT_DATA)
    return written(directory, state, installation, quote, platform)


def written(directory: Path, state: Path, installation: Installation, quote: bytes, platform: Any) -> Files:
    """Write a quote with its collateral and root."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    files = Files(
        directory, state, directory / "quote.bin", directory / "collateral.json", directory / "root.pem"
    )
    files.quote.write_bytes(quote)
    files.collateral.write_bytes(installation.collateral(AT, platform=platform).to_bundle_json())
    root = x509.load_der_x509_certificate(installation.root_der)
    files.root.write_bytes(root.public_bytes(Encoding.PEM))
    return files
