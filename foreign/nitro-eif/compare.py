"""Compare enclave images with AWS's own library: those that it builds, and those that we and others made.

    cargo build --release --manifest-path foreign/nitro-eif/Cargo.toml
    python foreign/nitro-eif/compare.py [--program FILE] [IMAGE...]

It builds images of many shapes, signed and not, and compares every register; then it reads images that the
tests make, and those that are named. The exit code is 1 when the two differ, 2 when the program is not there.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.eif import measure_image

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))
CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
IMAGES = 60
BUILT = {"BuildTime": "", "BuildTool": "", "BuildToolVersion": "", "OperatingSystem": "", "KernelVersion": ""}
METADATA_IT_READS = json.dumps(
    {"ImageName": "", "ImageVersion": "", "BuildMetadata": BUILT, "DockerInfo": {}, "CustomMetadata": {}}
).encode()


def main() -> int:
    """Print each difference and how much was compared; see above for the exit code."""
    options = _options()
    if not options.program.exists():
        print(f"{options.program} is not there: cargo build --release --manifest-path {HERE}/Cargo.toml")
        return 2
    program = str(options.program)
    with TemporaryDirectory() as directory:
        found = [
            *_built(program, Path(directory)),
            *_ours(program, Path(directory)),
            *(_read(program, path) for path in options.images),
        ]
    unread = [name for name, _, theirs in found if "metadata" in str(theirs)]
    for name in unread:
        print(f"not compared: the library does not read the metadata of {name}")
    found = [entry for entry in found if entry[0] not in unread]
    for name, ours, theirs in found:
        if ours != theirs:
            print(f"DIFFERENT  {name}\n  ours    {ours}\n  theirs  {theirs}")
    differing = sum(ours != theirs for _, ours, theirs in found)
    print(f"{len(found)} images compared, {differing} differ")
    return 1 if differing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare enclave images with AWS's library.")
    parser.add_argument("--program", type=Path, default=HERE / "target" / "release" / "nitro-eif")
    parser.add_argument("images", nargs="*", type=Path)
    return parser.parse_args()


def _answer(program: str, *words: object) -> dict[str, Any]:
    done = subprocess.run([program, *map(str, words)], capture_output=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.decode()[-200:]}


def _only_registers(found: dict[str, str]) -> dict[str, str]:
    """Leave out the name of the hash, which stands among the registers."""
    return {name: value for name, value in found.items() if name.startswith("PCR")}


def _registers(data: bytes) -> dict[str, str] | str:
    try:
        image = measure_image(Artefact.of(data))
    except ReferenceValueError as error:
        return error.code
    found = {"PCR0": image.pcr0, "PCR1": image.pcr1, "PCR2": image.pcr2, "PCR8": image.pcr8}
    return {name: value.hex() for name, value in found.items() if value is not None}


def _built(program: str, directory: Path) -> Iterator[tuple[str, Any, Any]]:
    """Build images with the library and measure them here."""
    from support.eif_images import certificate

    dice = random.Random("enclave images")
    for number in range(IMAGES):
        parts = []
        for part in range(dice.randint(2, 6)):
            path = directory / f"part{part}"
            path.write_bytes(dice.randbytes(dice.choice((1, 100, 4096, 70_000))))
            parts.append(path)
        key_file, certificate_file = "-", "-"
        if number % 2:
            key = ec.generate_private_key(CURVES[number // 2 % 3])
            key_file, certificate_file = directory / "key.pem", directory / "certificate.pem"
            key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            certificate_file.write_bytes(certificate(key).public_bytes(Encoding.PEM))
        target = directory / "image.eif"
        words = (target, parts[0], f"console=ttyS0 n={number}", number % 2, key_file, certificate_file)
        theirs = _only_registers(_answer(program, "build", *words, *parts[1:]))
        yield f"built image {number}", _registers(target.read_bytes()), theirs


def _ours(program: str, directory: Path) -> Iterator[tuple[str, Any, Any]]:
    """Let the library read images that the tests make, signed and not."""
    from support.eif_images import METADATA, PARTS, SIGNATURE, ImageDraft, signature

    # The library demands these members of metadata, which no register covers.
    parts = [(kind, METADATA_IT_READS if kind == METADATA else content) for kind, content in PARTS]
    plain = ImageDraft(parts).encode()
    pcr0 = measure_image(Artefact.of(plain)).pcr0
    for name, data in {
        "plain": plain,
        "aarch64": ImageDraft(parts, flags=1).encode(),
        "signed": ImageDraft([*parts, (SIGNATURE, signature(pcr0))]).encode(),
        "with a wrong CRC": ImageDraft(parts, crc=7).encode(),
    }.items():
        path = directory / f"{name}.eif"
        path.write_bytes(data)
        yield _read(program, path)


def _read(program: str, path: Path) -> tuple[str, Any, Any]:
    ours = _registers(path.read_bytes())
    theirs = _answer(program, "read", path)
    refused = "error" in theirs or not theirs["crc"] or theirs["signature"] not in ("valid", "none")
    if isinstance(ours, str):
        return path.name, "refused", "refused" if refused else theirs
    return path.name, ours, theirs if refused else _only_registers(theirs["registers"])


if __name__ == "__main__":
    sys.exit(main())
