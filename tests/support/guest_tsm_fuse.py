"""The kernel's TSM report and measurement files, served over FUSE: ``python guest_tsm_fuse.py MOUNTPOINT``.

It follows Documentation/ABI/testing/configfs-tsm-report: binary attributes take effect when closed, every
write counts a generation on, ``outblob`` is made from the last ``inblob``. Writing to ``/control`` makes it
misbehave: ``race N`` lets somebody else write to the entry before each of the next N reads of ``outblob``;
``busy N``, ``would-block N`` and ``refuse N`` answer the next N reads with EBUSY, EWOULDBLOCK and EINVAL;
``partial N`` takes only half of the next N writes; ``empty N`` gives empty reports.
"""

from __future__ import annotations

import errno
import hashlib
import stat
import sys
import threading

import mfusepy

ATTRIBUTES = ("inblob", "outblob", "auxblob", "generation", "provider", "privlevel", "privlevel_floor")
FAULTS = {"busy": errno.EBUSY, "would-block": errno.EWOULDBLOCK, "refuse": errno.EINVAL}
REGISTERS = tuple(f"rtmr{index}:sha384" for index in range(4))


class Entry:
    def __init__(self) -> None:
        self.generation = 0
        self.inblob = b""
        self.privlevel = b"0"
        self.outblob: bytes | None = None

    def set(self, name: str, data: bytes) -> None:
        setattr(self, name, data)
        self.generation += 1
        self.outblob = None


class Tsm(mfusepy.Operations):
    use_ns = True

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.entries: dict[str, Entry] = {}
        self.registers = dict.fromkeys(REGISTERS, bytes(48))
        self.faults: dict[str, int] = {}
        self.open_files: dict[int, bytes] = {}
        self.pending: dict[int, bytearray] = {}
        self.handles = 0
        self.seen: list[str] = []

    def _fault(self, name: str) -> bool:
        left = self.faults.get(name, 0)
        self.faults[name] = max(0, left - 1)
        return left > 0

    def getattr(self, path, fh=None):
        parts = path.strip("/").split("/")
        directory = {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        file = {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": 0}
        with self.mutex:
            if path == "/" or (len(parts) == 1 and parts[0] in ("report", "measurements")):
                return directory
            if parts == ["control"] or (parts[0] == "measurements" and parts[1] in self.registers):
                return file
            if parts[0] == "report" and parts[1] in self.entries:
                if len(parts) == 2:
                    return directory
                if parts[2] in ATTRIBUTES:
                    return file
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path, fh):
        names = {"/": ["report", "measurements", "control"], "/measurements": list(REGISTERS)}
        with self.mutex:
            return [".", "..", *names.get(path, list(self.entries) if path == "/report" else ATTRIBUTES)]

    def mkdir(self, path, mode):
        with self.mutex:
            name = path.rpartition("/")[2]
            if name in self.entries:
                raise mfusepy.FuseOSError(errno.EEXIST)
            self.entries[name] = Entry()
            self.seen.append(name)

    def rmdir(self, path):
        with self.mutex:
            del self.entries[path.rpartition("/")[2]]

    def open(self, path, flags):
        with self.mutex:
            self.handles += 1
            self.open_files[self.handles] = self._contents(path) if flags & 3 == 0 else b""
            return self.handles

    def _contents(self, path: str) -> bytes:
        parts = path.strip("/").split("/")
        if parts == ["control"]:
            return "\n".join(self.seen).encode()
        if parts[0] == "measurements":
            return self.registers[parts[1]]
        entry, name = self.entries[parts[1]], parts[2]
        if name == "outblob":
            for fault, code in (
                ("busy", errno.EBUSY),
                ("would-block", errno.EWOULDBLOCK),
                ("refuse", errno.EINVAL),
            ):
                if self._fault(fault):
                    raise mfusepy.FuseOSError(code)
            if self._fault("race"):
                entry.set("inblob", b"of somebody else".ljust(64, b"\0"))
            if self._fault("empty"):
                return b""
            return b"report:" + entry.privlevel + b":" + entry.inblob
        fixed = {"auxblob": b"certificates", "provider": b"tdx_guest\n", "privlevel_floor": b"0\n"}
        return fixed.get(name) or str(entry.generation).encode() + b"\n"

    def read(self, path, size, offset, fh):
        return self.open_files[fh][offset : offset + size]

    def truncate(self, path, length, fh=None):
        return None

    def write(self, path, data, offset, fh):
        with self.mutex:
            if self._fault("partial"):
                return len(data) // 2
            self.pending.setdefault(fh, bytearray()).extend(data)
            return len(data)

    def flush(self, path, fh):
        with self.mutex:
            data = bytes(self.pending.pop(fh, b""))
            if data:
                self._take(path.strip("/").split("/"), data)

    def _take(self, parts: list[str], data: bytes) -> None:
        if parts == ["control"]:
            name, count = data.decode().split()
            self.faults[name] = int(count)
        elif parts[0] == "measurements":
            self.registers[parts[1]] = hashlib.sha384(self.registers[parts[1]] + data).digest()
        else:
            self.entries[parts[1]].set(parts[2], data)


if __name__ == "__main__":
    mfusepy.FUSE(Tsm(), sys.argv[1], foreground=True, direct_io=True, nothreads=False)
