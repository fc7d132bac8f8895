"""``assay measure``: what a platform should report about the files it is started from."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.groups import VerbsBelow
from assay.cli.output import emit, emit_json, escape, progress, table
from assay.cli.patience import said_when_slow
from assay.cli.writing import write_new
from assay.errors import ReferenceValueError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.reference.artefact import Artefact
    from assay.reference.values import Measured

FILE = click.Path(path_type=Path, dir_okay=False)
DIRECTORY = click.Path(path_type=Path, file_okay=False)
_DIGEST_BYTES = 48
_LARGEST_ROOT = 16 * 1024
_PLATFORM = "assay.measure.platform"
_NOT_READ = frozenset({"reference.artefact.unreadable", "reference.artefact.kind"})


def _keep_platform(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Keep a platform that there is; of another one it is said before minutes of measuring."""
    if value is not None:
        from assay.appraisal.vocabulary import PLATFORMS

        if value not in PLATFORMS:
            raise UsageError(
                "cli.measure.platform",
                f"No policy names a platform {escape(value, limit=40)!r}.",
                action=f"Use one of {', '.join(PLATFORMS)}.",
            )
    ctx.meta[_PLATFORM] = value


def _output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--for",
        metavar="PLATFORM",
        expose_value=False,
        callback=_keep_platform,
        help="Platform as the policy names it: azure-tdx. Without it, the plainest one with these registers.",
    )(command)
    command = click.option("--json", "as_json", is_flag=True, help="Print the values as JSON.")(command)
    return click.option(
        "--out", type=FILE, metavar="FILE", help="Write the values to a new file, for `assay reference`."
    )(command)


@click.group(cls=VerbsBelow)
@click.pass_context
def measure(ctx: click.Context) -> None:
    """Compute Reference Values from what you build.

    The values are unsigned: `assay reference sign` puts them under a name, a version and a signature.
    """
    ctx.with_resource(said_when_slow("measuring: every byte is read, some seconds for each GiB ..."))


@measure.command()
@click.option("--firmware", type=FILE, required=True, metavar="FILE", help="OVMF, the whole image.")
@click.option("--vcpus", type=int, required=True, metavar="N", help="Number of virtual CPUs.")
@click.option("--vcpu-type", metavar="NAME", help="CPU model as QEMU calls it: EPYC-Milan.")
@click.option("--vcpu-signature", metavar="NUMBER", help="Signature of the CPU instead (CPUID leaf 1, EAX).")
@click.option("--hypervisor", type=click.Choice(["qemu", "ec2", "gce"]), default="qemu", show_default=True)
@click.option("--guest-features", default="0x1", show_default=True, metavar="NUMBER", help="SEV_FEATURES.")
@click.option("--kernel", type=FILE, metavar="FILE", help="Kernel that the hypervisor hands over.")
@click.option("--initrd", type=FILE, metavar="FILE", help="Its initrd.")
@click.option("--append", "cmdline", default="", metavar="TEXT", help="Its command line.")
@click.option("--svsm", type=FILE, metavar="FILE", help="Service module (COCONUT-SVSM).")
@click.option("--vars-size", type=int, default=0, metavar="BYTES", help="Size of OVMF_VARS, with --svsm.")
@_output_options
def snp(
    firmware: Path,
    vcpus: int,
    vcpu_type: str | None,
    vcpu_signature: str | None,
    hypervisor: str,
    guest_features: str,
    kernel: Path | None,
    initrd: Path | None,
    cmdline: str,
    svsm: Path | None,
    vars_size: int,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Launch measurement of an AMD SEV-SNP guest."""
    from assay.reference.snp import Machine
    from assay.reference.snp import measure as measure_snp
    from assay.reference.snp_vmsa import Hypervisor
    from assay.reference.snp_vmsa import vcpu_signature as signature_of

    if (vcpu_type is None) == (vcpu_signature is None) and hypervisor == "qemu":
        raise UsageError(
            "cli.measure.vcpu",
            "Under QEMU the measurement depends on the model of the CPU.",
            action="Add either --vcpu-type or --vcpu-signature.",
        )
    with _typed_wrongly():
        vcpu = signature_of(vcpu_type) if vcpu_type else _number(vcpu_signature or "0")
        machine = Machine(vcpus, vcpu, _number(guest_features), Hypervisor(hypervisor))
    with ExitStack() as stack:
        found = measure_snp(
            _open(stack, firmware),
            machine,
            kernel=_open(stack, kernel) if kernel else None,
            initrd=_open(stack, initrd) if initrd else None,
            cmdline=cmdline,
            svsm=_open(stack, svsm) if svsm else None,
            variables_bytes=vars_size,
        )
    _show(found, out, as_json=as_json)


@measure.command("id-block")
@click.argument("block", type=FILE)
@click.argument("authentication", type=FILE)
@_output_options
def id_block(block: Path, authentication: Path, out: Path | None, *, as_json: bool) -> None:
    """Values of a signed SEV-SNP identity block (both files raw or in base64)."""
    from assay.reference.snp_identity import AUTHENTICATION_BYTES, BLOCK_BYTES, measure_identity

    found = measure_identity(_raw(block, BLOCK_BYTES), _raw(authentication, AUTHENTICATION_BYTES))
    _show(found, out, as_json=as_json)


@measure.command()
@click.option("--firmware", type=FILE, required=True, metavar="FILE", help="TDVF, the whole image.")
@_output_options
def tdx(firmware: Path, out: Path | None, *, as_json: bool) -> None:
    """MRTD of an Intel TDX guest from its firmware."""
    from assay.reference.tdvf import measure as measure_tdvf

    with ExitStack() as stack:
        found = measure_tdvf(_open(stack, firmware))
    _show(found, out, as_json=as_json)


@measure.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--memory", type=int, metavar="BYTES", help="Memory of the guest; RTMR0 depends on it.")
@click.option("--acpi", nargs=3, metavar="LOADER RSDP TABLES", help="Digests of its ACPI tables, in hex.")
@_output_options
def dstack(
    directory: Path, memory: int | None, acpi: tuple[str, str, str] | None, out: Path | None, *, as_json: bool
) -> None:
    """Registers of a TDX guest that boots an unpacked dstack image."""
    from assay.reference.dstack_image import measure as measure_dstack

    loader, rsdp, tables = (_digest(text) for text in acpi) if acpi else (b"", b"", b"")
    digests = (loader, rsdp, tables) if acpi else None
    with _typed_wrongly(_NOT_READ):
        found = measure_dstack(directory, memory_bytes=memory, acpi=digests)
    _show(found, out, as_json=as_json)


@measure.command()
@click.argument("image", type=FILE)
@click.option("--phase", "phases", metavar="A:B:...", help="Phases of the boot that were reached.")
@click.option("--bank", type=click.Choice(["sha256", "sha384"]), default="sha256", show_default=True)
@click.option("--after", type=FILE, multiple=True, metavar="FILE", help="EFI image started before it.")
@_output_options
def uki(
    image: Path, phases: str | None, bank: str, after: tuple[Path, ...], out: Path | None, *, as_json: bool
) -> None:
    """PCR 4, 9 and 11 of a machine that boots a unified kernel image."""
    from assay.reference.uki import PHASES
    from assay.reference.uki import measure as measure_uki

    reached = PHASES if phases is None else tuple(phase for phase in phases.split(":") if phase)
    with ExitStack() as stack:
        before = [_open(stack, path) for path in after]
        found = measure_uki(_open(stack, image), phases=reached, algorithm=bank, started_before=before)
    _show(found, out, as_json=as_json)


@measure.command()
@click.option("--kernel", type=FILE, required=True, metavar="FILE", help="Kernel with an EFI stub.")
@click.option("--initrd", type=FILE, metavar="FILE", help="Its initrd.")
@click.option("--append", "cmdline", default="", metavar="TEXT", help="Its command line.")
@click.option("--bank", type=click.Choice(["sha256", "sha384"]), default="sha256", show_default=True)
@click.option("--after", type=FILE, multiple=True, metavar="FILE", help="EFI image started before it.")
@_output_options
def boot(
    kernel: Path,
    initrd: Path | None,
    cmdline: str,
    bank: str,
    after: tuple[Path, ...],
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """PCR 4 and 9 of a machine whose firmware starts a kernel."""
    from assay.reference.uki import measure_boot

    with ExitStack() as stack:
        found = measure_boot(
            _open(stack, kernel),
            initrd=_open(stack, initrd) if initrd else None,
            command_line=cmdline,
            algorithm=bank,
            started_before=[_open(stack, path) for path in after],
        )
    _show(found, out, as_json=as_json)


@measure.command()
@click.argument("image", type=FILE)
@_output_options
def eif(image: Path, out: Path | None, *, as_json: bool) -> None:
    """PCR 0, 1, 2 and 8 of an AWS Nitro enclave from its image."""
    from assay.reference.eif import measure as measure_eif

    with ExitStack() as stack:
        found = measure_eif(_open(stack, image))
    _show(found, out, as_json=as_json)


@measure.command()
@click.argument("layout", type=DIRECTORY)
@click.option("--name", metavar="REF", help="Which image, when the layout holds several.")
@click.option("--system", default="linux/amd64", show_default=True, metavar="OS/ARCH")
@_output_options
def container(layout: Path, name: str | None, system: str, out: Path | None, *, as_json: bool) -> None:
    """Digest of a container image in an OCI image layout, every blob of it checked."""
    from assay.reference.container import measure_layout

    with _typed_wrongly(_NOT_READ):
        found = measure_layout(layout, name=name, system=system)
    _show(found, out, as_json=as_json)


@measure.command()
@click.argument("compose", type=FILE)
@_output_options
def compose(compose: Path, out: Path | None, *, as_json: bool) -> None:
    """Compose hash and MRCONFIGID of a dstack app-compose file."""
    from assay.reference.container import measure_compose

    with ExitStack() as stack:
        found = measure_compose(_open(stack, compose))
    _show(found, out, as_json=as_json)


@measure.command()
@click.argument("endorsement", type=FILE)
@click.option("--root", type=FILE, required=True, metavar="PEM", help="Google's root GCE-cc-tcb-root.")
@click.option("--platform", type=click.Choice(["snp", "tdx"]), required=True)
@_output_options
def gcp(endorsement: Path, root: Path, platform: str, out: Path | None, *, as_json: bool) -> None:
    """Values that Google signed for the firmware of its confidential machines."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from assay.cli.reading import read_file
    from assay.evidence.decoding.pem import certificates
    from assay.reference.gcp import LARGEST, describe, verify_endorsement

    data = read_file(endorsement, limit=LARGEST)
    pinned = certificates(read_file(root, limit=_LARGEST_ROOT), count=1)
    found = verify_endorsement(data, pinned[0], now=datetime.now(UTC)).measured(platform)
    _show(replace(found, artefacts=(describe(data, endorsement.name),)), out, as_json=as_json)


@measure.command("azure")
@click.argument("endorsement", type=FILE)
@click.option("--minimum-svn", type=int, required=True, metavar="N", help="Least security version accepted.")
@click.option("--issuer", metavar="DID", help="Trusted issuer, a did:x509; Microsoft's own without.")
@click.option("--feed", metavar="NAME", help="What it endorses; the VM of confidential containers without.")
@_output_options
def azure(
    endorsement: Path,
    minimum_svn: int,
    issuer: str | None,
    feed: str | None,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Value that Microsoft signed for the VM of Azure's confidential containers."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from assay.cli.reading import read_file
    from assay.reference import azure as room
    from assay.reference.gcp import describe

    data = read_file(endorsement, limit=room.LARGEST)
    found = room.verify_endorsement(
        data,
        issuer=issuer or room.ISSUER,
        feed=feed or room.FEED,
        minimum_svn=minimum_svn,
        now=datetime.now(UTC),
    )
    _show(replace(found, artefacts=(describe(data, endorsement.name),)), out, as_json=as_json)


def _open(stack: ExitStack, path: Path) -> Artefact:
    from assay.reference.artefact import open_artefact

    with _typed_wrongly():
        return stack.enter_context(open_artefact(path))


@contextmanager
def _typed_wrongly(codes: frozenset[str] | None = None) -> Iterator[None]:
    """Say that the command line is wrong, by the codes for which it is; by any without them."""
    try:
        yield
    except ReferenceValueError as error:
        if codes is not None and error.code not in codes:
            raise
        raise UsageError(error.code, error.message, action=error.action) from None


def _raw(path: Path, size: int) -> bytes:
    """Return the bytes of a file, decoded when they are base64 and not of the size that is needed."""
    import base64
    import binascii

    from assay.cli.reading import read_file

    data = read_file(path, limit=4 * size)
    if len(data) == size:
        return data
    try:
        return base64.b64decode(data.strip(), validate=True)
    except binascii.Error:
        return data


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(
            "cli.measure.number", f"{escape(text, limit=40)!r} is not a number.", action="For example 0x21."
        ) from None


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _DIGEST_BYTES:
        raise UsageError("cli.measure.digest", "A digest is 48 bytes, 96 hexadecimal digits.")
    return found


def _show(found: Measured, out: Path | None, *, as_json: bool) -> None:
    from dataclasses import replace

    from assay.reference.values import SCHEMA, write_measured

    found = replace(found, platform=click.get_current_context().meta[_PLATFORM] or found.platform)
    if out is not None:
        write_new(out, write_measured(found))
    if as_json:
        emit_json(SCHEMA, found.to_json())
    else:
        rows = [
            (name, value.hex())
            for name, values in sorted(found.registers.items())
            for value in sorted(values)
        ]
        emit(table(("register", "value"), rows))
    for note in found.notes:
        progress(f"note: {escape(note)}")
