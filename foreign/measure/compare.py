"""Compare what Assay measures with what others measure of the same files.

    pip install sev-snp-measure
    python foreign/measure/compare.py --firmware OVMF.fd [--kernel FILE] [--initrd FILE] [--uki FILE]

Compared is with whatever is there: sev-snp-measure (PyPI), Google's verifier (built by ``go run`` in
``foreign/go-measure``), systemd-measure and pesign. The exit code is 1 when one of them says something else,
2 when none is there.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.reference.artefact import open_artefact
from assay.reference.ovmf import parse_firmware
from assay.reference.pe import authenticode, parse_pe
from assay.reference.snp import DirectBoot, Machine, launch_digest
from assay.reference.snp_vmsa import Hypervisor, vcpu_signature
from assay.reference.tdvf import mrtd
from assay.reference.uki import PHASES, pcr11

if TYPE_CHECKING:
    from collections.abc import Iterator

GO = Path(__file__).parents[1] / "go-measure"
SYSTEMD_MEASURE = Path("/usr/lib/systemd/systemd-measure")
CPU = "EPYC-Milan"
# What a stub of the installed systemd measures, as far as systemd-measure can be told of it.
SECTIONS = ("linux", "osrel", "cmdline", "initrd", "splash", "dtb", "uname", "sbat", "pcrpkey")


def main() -> int:
    """Print each comparison; see above for the exit code."""
    options = _options()
    found = [*_sev_snp_measure(options), *_google(options)]
    if options.uki:
        found += [*_systemd_measure(options.uki), *_pesign(options.uki)]
    for name, ours, theirs in found:
        print(f"{'same' if ours == theirs else 'DIFFERENT'}  {name}  {ours[:16]}  {theirs[:16]}")
    if not found:
        print("none of the other programs is here")
        return 2
    return 1 if any(ours != theirs for _, ours, theirs in found) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare measurements with those of other programs.")
    parser.add_argument("--firmware", type=Path, required=True)
    parser.add_argument("--kernel", type=Path)
    parser.add_argument("--initrd", type=Path)
    parser.add_argument("--append", default="")
    parser.add_argument("--uki", type=Path)
    return parser.parse_args()


def _launch(options: argparse.Namespace, hypervisor: str, vcpus: int, cpu: int, features: int) -> str:
    image = parse_firmware(options.firmware.read_bytes())
    with ExitStack() as stack:
        files = [
            stack.enter_context(open_artefact(path)) if path else None
            for path in (options.kernel, options.initrd)
        ]
        boot = DirectBoot.of(files[0], files[1], options.append) if files[0] else None
        return launch_digest(image, Machine(vcpus, cpu, features, Hypervisor(hypervisor)), boot).hex()


def _sev_snp_measure(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    if not find_spec("sevsnpmeasure"):
        return
    from sevsnpmeasure.guest import calc_launch_digest
    from sevsnpmeasure.sev_mode import SevMode
    from sevsnpmeasure.vmm_types import VMMType

    for kind in VMMType:
        for vcpus, features in ((1, 0x1), (4, 0x21)):
            theirs = calc_launch_digest(
                SevMode.SEV_SNP,
                vcpus,
                vcpu_signature(CPU),
                str(options.firmware),
                str(options.kernel or ""),
                str(options.initrd or ""),
                options.append,
                features,
                vmm_type=kind,
            )
            ours = _launch(options, kind.name.lower(), vcpus, vcpu_signature(CPU), features)
            yield f"sev-snp-measure {kind.name} {vcpus}", ours, theirs.hex()


def _google(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    if not shutil.which("go"):
        return
    image = parse_firmware(options.firmware.read_bytes())
    yield "gce-tcb-verifier MRTD", mrtd(image, two_pass=False).hex(), _go("mrtd", options.firmware)
    without = argparse.Namespace(firmware=options.firmware, kernel=None, initrd=None, append="")
    yield "gce-tcb-verifier SNP 4", _launch(without, "gce", 4, 0, 1), _go("snp", options.firmware, "4")


def _go(verb: str, firmware: Path, *more: str) -> str:
    command = ["go", "run", ".", verb, str(firmware.resolve()), *more]
    return _output(command, cwd=GO).strip()


def _systemd_measure(uki: Path) -> Iterator[tuple[str, str, str]]:
    if not SYSTEMD_MEASURE.exists():
        return
    known = _output([str(SYSTEMD_MEASURE), "--help"])
    with open_artefact(uki) as artefact, ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        command = [str(SYSTEMD_MEASURE), "calculate", "--bank=sha256"]
        for name in SECTIONS:
            section = parse_pe(artefact).section(f".{name}")
            if section is None:
                continue
            if f"--{name}=" not in known:
                print(f"systemd-measure here is too old for {name}; not compared")
                return
            (folder / name).write_bytes(artefact.read(section.offset, section.size))
            command.append(f"--{name}={folder / name}")
        theirs = re.findall("sha256=([0-9a-f]{64})", _output(command))
        for count, value in enumerate(theirs, start=1):
            ours = pcr11(artefact, PHASES[:count], "sha256").hex()
            yield f"systemd-measure {PHASES[count - 1]}", ours, value


def _pesign(uki: Path) -> Iterator[tuple[str, str, str]]:
    if not shutil.which("pesign"):
        return
    theirs = re.search("[0-9a-f]{64}", _output(["pesign", "-h", "-i", str(uki)]))
    with open_artefact(uki) as artefact:
        yield "pesign", authenticode(artefact, "sha256").hex(), theirs[0] if theirs else ""


def _output(command: list[str], cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
