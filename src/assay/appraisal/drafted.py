"""The tables that a policy written from evidence states, for the platforms without Intel's TCB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.fields import MAX_LIST
from assay.appraisal.rules.nvidia import distinct_gpus, service_gpus
from assay.appraisal.rules.tokens import AZURE_VM
from assay.appraisal.tables.ima import FILE
from assay.errors import EvidenceError
from assay.evidence.ima.files import BOOT_AGGREGATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from assay.evidence.confidential_space.claims import ConfidentialSpaceClaims
    from assay.evidence.ima.verify import ImaClaims
    from assay.evidence.maa.claims import MaaClaims
    from assay.evidence.nitro.claims import NitroClaims
    from assay.evidence.nras.claims import NrasClaims
    from assay.evidence.nvidia.claims import NvidiaClaims
    from assay.evidence.snp.claims import SnpClaims
    from assay.evidence.tpm.claims import TpmQuoteClaims
    from assay.evidence.trust_authority.claims import TrustAuthorityClaims

_UNPRINTABLE: Final = re.compile("[^ -~]")
_BOOT_PCRS: Final = {
    0: "you trust this firmware",
    4: "you trust this boot loader or kernel",
    7: "you trust the keys that the firmware trusts",
    9: "you trust this kernel and initrd",
    11: "you trust this unified kernel image",
}
_ENCLAVE_PCRS: Final = {
    0: "you trust this enclave image, all of its sections",
    1: "you trust this kernel and boot ramdisk of the enclave",
    2: "you trust this application of the enclave",
    3: "the parent instance must have this IAM role",
    8: "the image must be signed under this certificate",
}
_INSTANCE_PCRS: Final = {index: _BOOT_PCRS[index] for index in (4, 7)}
_MEASURED: Final = {
    "mrtd": "you trust the firmware (or, with direct boot, the image) that the TD started from",
    "rtmr0": "you trust this shape of virtual machine: another size of memory or disks changes it",
    "rtmr1": "you trust this boot loader or kernel",
    "rtmr2": "you trust this kernel command line and initrd",
    "mrenclave": "you trust this very enclave, its code and initial data",
}


def _hex(name: str, value: bytes) -> str:
    return f'{name} = ["{value.hex()}"]'


def quoted(text: str) -> str:
    """Return a TOML basic string that stands for this very text, in printable ASCII.

    What a policy cannot state is not made statable here: the policy is loaded before anybody sees it.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _UNPRINTABLE.sub(lambda found: f"\\U{ord(found[0]):08x}", escaped) + '"'


def _register(name: str, trusting: str, value: bytes) -> Iterator[str]:
    """Return a register below what it means."""
    yield f"# {name}: {trusting if any(value) else 'nothing was measured into it, and nothing may be'}."
    yield _hex(name, value)


def _stated(key: str, trusting: str, values: Iterable[str]) -> Iterator[str]:
    """Return the list of these texts below what it means, or a comment where there is nothing to state."""
    listed = list(dict.fromkeys(values))
    if not any(listed):
        yield f"# {key} is left out: the evidence does not state it."
        return
    yield f"# {key}: {trusting}."
    yield f"{key} = [{', '.join(map(quoted, listed))}]"


def snp(claims: SnpClaims, launched: str = "what the guest was launched with") -> Iterator[str]:
    """Return ``[snp]`` for a report, whose measurement is of what was launched."""
    product = claims.product.value.lower()
    yield ""
    yield "[snp]"
    yield f"# measurement: you trust {launched}."
    yield _hex("measurement", claims.measurement)
    yield "# host_data: you trust what the launcher put in; zero where there is nothing."
    yield _hex("host_data", claims.host_data)
    yield "# vmpl: you trust what runs at this privilege level of the guest; 0 is the highest."
    yield f"vmpl = [{claims.vmpl}]"
    yield "# products: you trust this line of processors."
    yield f'products = ["{product}"]'
    yield "# signing_keys: you trust the chip's own key (vcek), or one that AMD gave the provider (vlek)."
    yield f'signing_keys = ["{claims.signing_key}"]'
    if any(claims.id_key_digest):
        yield "# Uncomment to demand this key's signature under the guest's ID block as well. It cannot stand"
        yield "# in for the measurement: whoever holds the key can sign any guest."
        yield "# " + _hex("id_key_digest", claims.id_key_digest)
    components = claims.reported_tcb.components
    yield ""
    if not any(components.values()):
        yield "# Its security versions are all 0, the smallest there are: no line can demand them."
        return
    yield f"[snp.min_tcb.{product}]"
    yield "# Smaller security versions have vulnerabilities that this firmware may not have."
    for name, value in components.items():
        yield f"{name} = {value}"


def nitro(claims: NitroClaims) -> Iterator[str]:
    """Return ``[nitro]`` for a document."""
    instance = claims.module_id.rpartition("-")[2].startswith("tpm")
    yield ""
    yield "[nitro]"
    meanings = _INSTANCE_PCRS if instance else _ENCLAVE_PCRS
    stated = {index: value for index in meanings if any(value := claims.pcrs.get(index, b""))}
    if not stated:
        yield "# No register is stated, because all that say what runs are zero: this names no code."
    for index, value in stated.items():
        yield from _register(f"pcr{index}", meanings[index], value)
    yield "# Uncomment to accept this region, or this instance, alone."
    yield f"# regions = [{quoted(claims.region)}]"
    yield f"# instance_ids = [{quoted(claims.instance_id)}]"


def vtpm(quote: TpmQuoteClaims) -> Iterator[str]:
    """Return ``[vtpm]`` for a quote."""
    yield ""
    yield "[vtpm]"
    for index, trusting in _BOOT_PCRS.items():
        value = quote.pcrs.get(index)
        if value is not None:
            yield from _register(f"pcr{index}", trusting, value)


def _azure_snp(claims: Any) -> Iterator[str]:
    yield from snp(claims.hardware, "this paravisor, on whose word the registers below rest")
    yield from vtpm(claims.tpm)


def _google_snp(claims: Any) -> Iterator[str]:
    yield from snp(claims.snp, "this firmware of Google's, which says nothing of what it booted")
    yield from vtpm(claims.tpm)


def _tpm_part(claims: Any) -> Iterator[str]:
    yield from vtpm(claims.tpm)


def _tpm(claims: Any) -> Iterator[str]:
    yield from vtpm(claims.quote)
    yield ""
    yield "[tpm]"
    yield "# You trust this attestation key."
    yield _hex("ak_digests", claims.quote.ak_digest)
    if claims.ima is not None:
        yield from _files(claims.ima)


def _files(log: ImaClaims) -> Iterator[str]:
    """Return ``[ima]`` for what the kernel measured; nothing where a policy could not list it."""
    lines: dict[str, str] = {}
    spoilt: set[str] = set()
    for entry in log.entries:
        try:
            file = entry.file()
        except EvidenceError:
            yield "# The measured files are left out: an entry of their log names no file."
            return
        line = f"{file.algorithm}:{file.digest.hex()} {file.path}"
        if entry.violation or file.verity or not FILE.accepts(line):
            spoilt.add(file.path)
        else:
            lines[line] = file.path
    # A list that names a file refuses whatever else was measured under its name.
    listed = [line for line, path in lines.items() if path not in {*spoilt, BOOT_AGGREGATE}]
    unlisted = spoilt - {BOOT_AGGREGATE}
    if not 0 < len(listed) <= MAX_LIST:
        yield f"# The measured files are left out: a policy lists 1 to {MAX_LIST}, not {len(listed)}."
        return
    yield ""
    yield "[ima]"
    yield "# You trust these files. What the machine starts later must be listed as well, or signed."
    yield "files = ["
    for line in listed:
        yield f"  {quoted(line)},"
    yield "]"
    if unlisted:
        yield f"# No list can name {len(unlisted)} of the files: they changed while they were measured, have"
        yield "# no SHA-2 digest of their whole content, or a path that is long, has spaces or is not ASCII."
        yield "# So unknown files are not refused."
    yield f'{"# " if unlisted else ""}known = ["listed"]'


def _confidential_space(claims: ConfidentialSpaceClaims) -> Iterator[str]:
    yield ""
    yield "[confidential_space]"
    image = [claims.container.image_digest]
    yield from _stated("image_digests", "you trust this container image, down to its digest", image)
    yield from _stated("audiences", "tokens that were made for anybody else are refused", [claims.audience])
    yield from _stated("hardware", "you trust this kind of machine to protect the guest", [claims.hardware])
    project = [claims.gce.project_id]
    yield from _stated("project_ids", "you trust this project, in which the machine runs", project)
    accounts = claims.service_accounts
    yield from _stated("service_accounts", "the guest may act as these accounts and as no other", accounts)


def _maa(claims: MaaClaims) -> Iterator[str]:
    yield ""
    yield "[maa]"
    if claims.measurement:
        azure = claims.attestation_type == AZURE_VM
        launched = "this paravisor, which says nothing of what it booted" if azure else "what was launched"
        yield f"# measurement: you trust {launched}."
        yield _hex("measurement", claims.measurement)
    yield from _stated("issuers", "you trust this instance of the service", [claims.issuer])
    judged = [claims.policy_hash]
    yield from _stated("policy_hashes", "you trust the policy under which the service appraised", judged)
    kind = [claims.attestation_type]
    yield from _stated("attestation_types", "you trust this kind of TEE, as the service names it", kind)


def _trust_authority(claims: TrustAuthorityClaims) -> Iterator[str]:
    yield ""
    yield "[trust_authority]"
    yield from _stated("issuers", "you trust this instance of the service", [claims.issuer])
    yield "# attesters: you trust this kind of TEE."
    yield f'attesters = ["{claims.attester}"]'
    for name, trusting in _MEASURED.items():
        value = claims.measurements.get(name)
        if value is not None:
            yield from _register(name, trusting, value)


def _devices(drivers: Iterable[str], firmware: Iterable[str], gpus: int) -> Iterator[str]:
    yield ""
    yield "[nvidia]"
    yield from _stated("drivers", "you trust these versions of the GPUs' driver", sorted(drivers))
    yield from _stated("firmware", "you trust these versions of the devices' own firmware", sorted(firmware))
    if gpus:
        yield "# gpus: so many there must be, no more and no fewer."
        yield f"gpus = {gpus}"


def _nvidia(claims: NvidiaClaims) -> Iterator[str]:
    drivers = [each.driver_version for each in claims.gpus]
    yield from _devices(drivers, [each.vbios_version for each in claims.devices], len(claims.gpus))


def _nras(claims: NrasClaims) -> Iterator[str]:
    drivers = [each.driver for each in service_gpus(claims)]
    yield from _devices(drivers, [each.firmware for each in claims.devices], distinct_gpus(claims))


DRAFTS: Final[Mapping[str, Callable[[Any], Iterator[str]]]] = {
    "snp": snp,
    "nitro": nitro,
    "nitro-tpm": nitro,
    "azure-snp": _azure_snp,
    "azure-tdx": _tpm_part,
    "gcp-tdx": _tpm_part,
    "gcp-snp": _google_snp,
    "gcp-vtpm": _tpm_part,
    "tpm": _tpm,
    "confidential-space": _confidential_space,
    "maa": _maa,
    "trust-authority": _trust_authority,
    "nvidia-gpu": _nvidia,
    "nras": _nras,
}
"""Platform to what its draft states, beside the tables about Intel's TCB."""
