"""The manifest: canonical bytes that name what runs, for whom, and within which bounds.

Encoding: ``assay/manifest/v1`` and a newline, then one JSON object in the canonical form of RFC 8785. There
    is one
encoding of one manifest; everything else is refused, so its SHA-256 names it. That digest stands in the
binding of both Evidences, in the runtime register and in the receipt.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import rfc8785

from assay.errors import WorkloadError
from assay.workload import environment as names
from assay.workload.paths import check_relative

DOMAIN = b"assay/manifest/v1\n"
MAX_BYTES = 256 * 1024
MAX_ARGUMENTS = 1024
MAX_ARGUMENT_BYTES = 128 * 1024
MAX_OUTPUTS = 256
MAX_OWNER_KEY_BYTES = 512
MAX_SECONDS = 366 * 24 * 3600
MAX_LIMIT_BYTES = 1 << 50
MAX_PROCESSES = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workload may use; each limit ends it with a reason of its own.

    Attributes:
        time_seconds: Wall-clock time of the workload.
        memory_bytes: Resident memory of all its processes together.
        output_bytes: stdout and stderr together.
        ttl_seconds: Life of the guest, as in its launch configuration.
        disk_bytes: What it may write into its work directory.
        processes: Processes and threads at one time.
    """

    time_seconds: int
    memory_bytes: int
    output_bytes: int
    ttl_seconds: int
    disk_bytes: int = 8 << 30
    processes: int = 512

    def __post_init__(self) -> None:
        for name, most in (
            ("time_seconds", MAX_SECONDS),
            ("memory_bytes", MAX_LIMIT_BYTES),
            ("output_bytes", MAX_LIMIT_BYTES),
            ("ttl_seconds", MAX_SECONDS),
            ("disk_bytes", MAX_LIMIT_BYTES),
            ("processes", MAX_PROCESSES),
        ):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= most:
                raise _malformed(f"the limit {name} is not a number between 1 and {most}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One execution, named before anything of it is sent.

    Attributes:
        owner_key: SubjectPublicKeyInfo DER of the owner.
        bundle: Digest of the bundle's listing, 32 bytes.
        argv: The program and its arguments, UTF-8 without NUL.
        cwd: Where it starts, relative to the bundle's root; empty for the root.
        environment: Exact names of the variables it is given, sorted, unique. Values are never in a manifest.
        limits: What it may use.
        network: ``none``.
        outputs: Paths below the bundle's root that are wanted back, sorted, unique.
        policy: Digest of the appraisal policy under which it may start, 32 bytes.
        tty: Whether it gets a terminal.
    """

    owner_key: bytes
    bundle: bytes
    argv: tuple[str, ...]
    cwd: str
    environment: tuple[str, ...]
    limits: Limits
    network: str
    outputs: tuple[str, ...]
    policy: bytes
    tty: bool

    def __post_init__(self) -> None:
        if len(self.bundle) != 32 or len(self.policy) != 32:
            raise _malformed("the digests of bundle and policy have 32 bytes")
        if not 0 < len(self.owner_key) <= MAX_OWNER_KEY_BYTES:
            raise _malformed("the owner's key is missing or too large")
        if self.network != "none" or type(self.tty) is not bool:
            raise _malformed("the network must be 'none', and 'tty' true or false")
        self._check_command()
        self._check_names()

    def _check_command(self) -> None:
        if not 0 < len(self.argv) <= MAX_ARGUMENTS or not self.argv[0]:
            raise _malformed(f"a command has between 1 and {MAX_ARGUMENTS} arguments, the first not empty")
        for argument in self.argv:
            _check_text(argument, MAX_ARGUMENT_BYTES)
        if self.cwd != "":
            check_relative(_check_text(self.cwd, 4096))

    def _check_names(self) -> None:
        if len(self.environment) > names.MAX_NAMES or len(self.outputs) > MAX_OUTPUTS:
            raise _malformed("it names too many environment variables or outputs")
        for name in self.environment:
            names.check_name(name)
        for path in self.outputs:
            check_relative(_check_text(path, 4096))
        for listed in (self.environment, self.outputs):
            if list(listed) != sorted(set(listed)):
                raise _malformed("environment names and outputs must be sorted and unique")

    def encode(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            WorkloadError: ``workload.manifest.malformed`` when they would exceed ``MAX_BYTES``.
        """
        found = asdict(self)
        for name in ("owner_key", "bundle", "policy"):
            found[name] = found[name].hex()
        data = DOMAIN + rfc8785.dumps(found)
        if len(data) > MAX_BYTES:
            raise _malformed(f"it exceeds {MAX_BYTES} bytes")
        return data

    def digest(self) -> bytes:
        """Return the SHA-256 of the canonical bytes, 32 bytes."""
        return hashlib.sha256(self.encode()).digest()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Return the manifest whose canonical bytes are exactly ``data``.

        Raises:
            WorkloadError: ``workload.manifest.malformed``; ``workload.manifest.not_canonical`` when another
                encoding of the same manifest was given; codes of paths and environment names.
        """
        if len(data) > MAX_BYTES or not data.startswith(DOMAIN):
            raise _malformed("its first line or its size is wrong")
        try:
            found = json.loads(data[len(DOMAIN) :].decode("utf-8"))
            manifest = _from_json(found)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _malformed("its JSON is not that of a manifest") from error
        if manifest.encode() != data:
            raise WorkloadError(
                "workload.manifest.not_canonical", "The manifest is not in its canonical form."
            )
        return manifest


def _from_json(found: Any) -> Manifest:
    if set(found) != {field.name for field in fields(Manifest)}:
        raise KeyError("members")
    if any(type(found[name]) is not list for name in ("argv", "environment", "outputs")):
        raise TypeError("lists")
    return Manifest(
        owner_key=bytes.fromhex(found["owner_key"]),
        bundle=bytes.fromhex(found["bundle"]),
        argv=tuple(found["argv"]),
        cwd=found["cwd"],
        environment=tuple(found["environment"]),
        limits=Limits(**found["limits"]),
        network=found["network"],
        outputs=tuple(found["outputs"]),
        policy=bytes.fromhex(found["policy"]),
        tty=found["tty"],
    )


def _check_text(text: str, most: int) -> bytes:
    if type(text) is not str:
        raise _malformed("an argument or path is not text")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _malformed("an argument or path is not valid UTF-8") from error
    if len(data) > most or b"\0" in data:
        raise _malformed("an argument or path is too long or holds a NUL byte")
    return data


def _malformed(why: str) -> WorkloadError:
    return WorkloadError("workload.manifest.malformed", f"The manifest is malformed: {why}.")
