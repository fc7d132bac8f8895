"""Tars of exports: found files lie within the tar, and under safe names."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from assay.audit.archive import open_export
from assay.errors import AuditError

_NAMES = ("checkpoint", "tile/0/000.p/1", "README.txt")
_FOLDER = tempfile.TemporaryDirectory()
_PATH = Path(_FOLDER.name) / "fuzzed.tar"


def _tar(form: int, around: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name in _NAMES:
            info = tarfile.TarInfo(around + name)
            info.size = 3
            info.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1
            tar.addfile(info, io.BytesIO(b"abc"))
    return made.getvalue()


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return tars of three kinds."""
    return [_tar(tarfile.USTAR_FORMAT, ""), _tar(tarfile.GNU_FORMAT, "./"), _tar(tarfile.PAX_FORMAT, "x/")]


def target(data: bytes) -> None:
    """Open a tar and read everything in it."""
    _PATH.write_bytes(data)
    try:
        with open_export(_PATH) as source:
            for name, size in source.sizes.items():
                if name.startswith("/") or ".." in name.split("/") or "\0" in name:
                    raise AssertionError("an unsafe name")
                if size > len(data) or len(source.read(name, _PATH.stat().st_size)) != size:
                    raise AssertionError("more than the tar holds")
    except AuditError:
        return
