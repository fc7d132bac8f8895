"""A TPM that is not ours: swtpm, driven by tpm2-tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = ("swtpm", "tpm2_quote", "tpm2_create", "tpm2_createprimary", "tpm2_pcrextend", "tpm2_pcrread")
AK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"


def missing(*tools: str) -> list[str]:
    """Return those tools that this machine lacks."""
    return [tool for tool in tools if shutil.which(tool) is None]


@dataclass(frozen=True)
class Swtpm:
    """A running TPM.

    Attributes:
        directory: Where its state and its tools' files are.
    """

    directory: Path

    def tool(self, *command: str) -> str:
        """Run one of tpm2-tools against it and return what it prints."""
        environment = os.environ | {"TPM2TOOLS_TCTI": f"swtpm:path={self.directory}/socket"}
        found = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return found.stdout

    def make_key(self, algorithm: str, attributes: str = AK_ATTRIBUTES) -> bytes:
        """Make an attestation key below an endorsement primary and return its TPM2B_PUBLIC."""
        self.tool("tpm2_createprimary", "-Q", "-C", "e", "-c", "primary.ctx")
        self.tool(
            *("tpm2_create", "-Q", "-C", "primary.ctx", "-G", algorithm, "-a", attributes),
            *("-u", "ak.pub", "-r", "ak.priv", "-c", "ak.ctx"),
        )
        self.tool("tpm2_flushcontext", "-t")
        return (self.directory / "ak.pub").read_bytes()

    def quote(self, selection: str, nonce: bytes, *scheme: str) -> tuple[bytes, bytes, bytes]:
        """Return TPMS_ATTEST, TPMT_SIGNATURE, and the PCR values one behind the other."""
        self.tool(
            *(
                "tpm2_quote",
                "-Q",
                "-c",
                "ak.ctx",
                "-l",
                selection,
                "-q",
                nonce.hex(),
                "-g",
                "sha256",
                *scheme,
            ),
            *("-m", "quote", "-s", "signature", "-o", "pcrs", "-F", "values"),
        )
        names = ("quote", "signature", "pcrs")
        attest, signature, pcrs = ((self.directory / name).read_bytes() for name in names)
        return attest, signature, pcrs


@contextmanager
def running() -> Iterator[Swtpm]:
    """Run a TPM that was just manufactured, until the end of the block."""
    # A socket's path is short, which pytest's own directories are not.
    with tempfile.TemporaryDirectory(prefix="swtpm-") as name:
        directory = Path(name)
        (directory / "state").mkdir()
        process = subprocess.Popen(
            [
                *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={directory}/state"),
                *("--server", f"type=unixio,path={directory}/socket"),
                *("--ctrl", f"type=unixio,path={directory}/socket.ctrl"),
                *("--flags", "not-need-init,startup-clear"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 20
            while not (directory / "socket.ctrl").exists() or not (directory / "socket").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("swtpm did not start")
                time.sleep(0.02)
            yield Swtpm(directory)
        finally:
            process.terminate()
            process.wait(timeout=10)
