"""A guest for tests: the true agent as its own process behind a Unix socket, with a fake quoting device."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from assay.channel.client import OwnerSession, open_session
from assay.channel.launch import LaunchConfig
from assay.channel.owner import OwnerKey
from assay.workload.bundle import BundleLimits
from assay.workload.manifest import Limits, Manifest
from assay.workload.snapshot import Snapshot
from support.guest_device import FakeDevice, appraiser, serve_device

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = Limits(
    time_seconds=60, memory_bytes=1 << 30, output_bytes=64 << 20, ttl_seconds=300, disk_bytes=1 << 30
)
POLICY = b"\x11" * 32


class GuestProcess:
    """Starts ``python -m assay.guest`` and speaks to it; a context manager that leaves nothing behind."""

    def __init__(
        self,
        *,
        isolation: str = "none",
        ttl: int = 300,
        idle: int = 300,
        lease: str = "lease-1",
        owner: OwnerKey | None = None,
        prefix: Iterable[str] = (),
    ) -> None:
        self.owner = owner or OwnerKey.create()
        self.config = LaunchConfig(lease, self.owner.spki, ttl, idle)
        self.device = FakeDevice(self.config)
        self.isolation = isolation
        self._directory = tempfile.TemporaryDirectory(prefix="assay-test-", ignore_cleanup_errors=True)
        root = Path(self._directory.name)
        root.chmod(0o711)
        self.storage = root / "storage"
        self.storage.mkdir(mode=0o700)
        self.address = str(root / "agent.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.address)
        listener.listen(128)
        near, far = socket.socketpair()
        config_read, config_write = os.pipe()
        os.write(config_write, self.config.encode())
        os.close(config_write)
        arguments = [
            *("--listen-fd", str(listener.fileno()), "--device-fd", str(far.fileno())),
            *("--config-fd", str(config_read), "--isolation", isolation, "--storage", str(self.storage)),
        ]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "assay.guest", *arguments],
            pass_fds=(listener.fileno(), far.fileno(), config_read),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        listener.close()
        far.close()
        os.close(config_read)
        self._near = near
        self._sockets: list[socket.socket] = []
        serve_device(self.device, near)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        for sock in (*self._sockets, self._near):
            sock.close()
        self._directory.cleanup()

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        self._sockets.append(sock)
        sock.connect(self.address)
        return sock

    def manifest(self, argv: Iterable[str], bundle: bytes, **changes: object) -> Manifest:
        base = Manifest(
            owner_key=self.owner.spki,
            bundle=bundle,
            argv=tuple(argv),
            cwd="",
            environment=(),
            limits=replace(LIMITS, ttl_seconds=self.config.ttl_seconds),
            network="none",
            outputs=(),
            policy=POLICY,
            tty=False,
        )
        return replace(base, **changes)

    def open(self, manifest: Manifest, **changes: object) -> OwnerSession:
        values = {
            "lease": self.config.lease,
            "owner": self.owner,
            "nonce": secrets.token_bytes(32),
            "platform": "tdx",
            "manifest": manifest.digest(),
            "appraise": appraiser(self.config),
            "timeout": 20.0,
            **changes,
        }
        return open_session(self.connect(), **values)

    def deliver(self, session: OwnerSession, manifest: Manifest, snapshot: Snapshot) -> None:
        session.send_bundle(manifest.encode(), snapshot.stream(), snapshot.size())
        session.start_evidence(
            secrets.token_bytes(32), appraiser(self.config, bundle=snapshot.listing.digest())
        )

    def started(self, argv: Iterable[str], files: Path, **changes: object) -> tuple[OwnerSession, Manifest]:
        """Open a session and take it up to the proven start of ``argv`` with the files below ``files``."""
        with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
            manifest = self.manifest(argv, snapshot.listing.digest(), **changes)
            session = self.open(manifest)
            self.deliver(session, manifest, snapshot)
        return session, manifest

    def wait_ended(self, timeout: float = 30) -> int:
        return self.process.wait(timeout)


class Collected:
    """Output of a workload, with the offsets checked as it comes."""

    def __init__(self) -> None:
        self.data = {"stdout": bytearray(), "stderr": bytearray()}
        self.start = {"stdout": None, "stderr": None}

    def __call__(self, stream: str, offset: int, data: bytes) -> None:
        if self.start[stream] is None:
            self.start[stream] = offset
        assert offset == self.start[stream] + len(self.data[stream])
        self.data[stream] += data

    @property
    def stdout(self) -> bytes:
        return bytes(self.data["stdout"])

    @property
    def stderr(self) -> bytes:
        return bytes(self.data["stderr"])
