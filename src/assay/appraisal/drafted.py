"""The tables that a policy written from evidence states, for the platforms without Intel's TCB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.fields import MAX_LIST
from assay.appraisal.rules.nvidia import distinct_gpus, service_gpus
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


def _hex(name: str, value: bytes) -> str:
    return f'{name} = ["{value.hex()}"]'


def quoted(text: str) -> str:
    """Return a TOML basic string that stands for this very text, in printable ASCII.

    What a policy cannot state is not made statable here: the policy is loaded before anybody sees it.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _UNPRINTABLE.sub(lambda found: f"\\U{ord(found[0]):08x}", escaped) + '"'


def _stated(key: str, values: Iterable[str]) -> str:
    """Return the list of these texts, or a comment where there is nothing to state."""
    listed = list(dict.fromkeys(values))
    if not any(listed):
        return f"# {key} is left out: the evidence does not state it."
    return f"{key} = [{', '.join(map(quoted, listed))}]"


def snp(claims: SnpClaims) -> Iterator[str]:
    """Return ``[snp]`` for a report."""
    product = claims.product.value.lower()
    yield ""
    yield "[snp]"
    yield "# measurement: you trust what the guest was launched with."
    yield _hex("measurement", claims.measurement)
    yield "# host_data: you trust what the launcher put in; zero where there is nothing."
    yield _hex("host_data", claims.host_data)
    yield f"vmpl = [{claims.vmpl}]"
    yield f'products = ["{product}"]'
    yield f'signing_keys = ["{claims.signing_key}"]'
    if any(claims.id_key_digest):
        yield "# You trust whoever holds this key with every guest of theirs that the other lines accept."
        yield "# " + _hex("id_key_digest", claims.id_key_digest)
    yield ""
    yield f"[snp.min_tcb.{product}]"
    yield "# Smaller security versions have vulnerabilities that this firmware may not have."
    for name, value in claims.reported_tcb.components.items():
        yield f"{name} = {value}"


def nitro(claims: NitroClaims) -> Iterator[str]:
    """Return ``[nitro]`` for a document."""
    instance = claims.module_id.rpartition("-")[2].startswith("tpm")
    yield ""
    yield "[nitro]"
    wanted = (4, 7) if instance else (0, 1, 2, 3, 8)
    for index in wanted:
        value = claims.pcrs.get(index)
        if value is not None and any(value):
            yield _hex(f"pcr{index}", value)
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
            yield f"# pcr{index}: {trusting}."
            yield _hex(f"pcr{index}", value)


def _azure_snp(claims: Any) -> Iterator[str]:
    yield from snp(claims.hardware)
    yield from vtpm(claims.tpm)


def _google_snp(claims: Any) -> Iterator[str]:
    yield from snp(claims.snp)
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
        return
    yield ""
    yield "[ima]"
    yield "# You trust these files. What the machine starts later must be listed as well, or signed."
    yield "files = ["
    for line in listed:
        yield f"  {quoted(line)},"
    yield "]"
    if unlisted:
        yield f"# Left out, because no list can name them: {len(unlisted)} files that changed while they were"
        yield "# measured, or have no digest of their whole content. So unknown files are not refused."
    yield f'{"# " if unlisted else ""}known = ["listed"]'


def _confidential_space(claims: ConfidentialSpaceClaims) -> Iterator[str]:
    yield ""
    yield "[confidential_space]"
    yield "# You trust this container image, down to its digest."
    yield _stated("image_digests", [claims.container.image_digest])
    yield _stated("audiences", [claims.audience])
    yield _stated("hardware", [claims.hardware])
    yield _stated("project_ids", [claims.gce.project_id])
    yield _stated("service_accounts", claims.service_accounts)


def _maa(claims: MaaClaims) -> Iterator[str]:
    yield ""
    yield "[maa]"
    if claims.measurement:
        yield "# You trust what was launched."
        yield _hex("measurement", claims.measurement)
    yield "# You trust this instance of the service, and the policy under which it appraised."
    yield _stated("issuers", [claims.issuer])
    yield _stated("policy_hashes", [claims.policy_hash])
    yield _stated("attestation_types", [claims.attestation_type])


def _trust_authority(claims: TrustAuthorityClaims) -> Iterator[str]:
    yield ""
    yield "[trust_authority]"
    yield _stated("issuers", [claims.issuer])
    yield f'attesters = ["{claims.attester}"]'
    for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "mrenclave"):
        value = claims.measurements.get(name)
        if value is not None:
            yield _hex(name, value)


def _devices(drivers: Iterable[str], firmware: Iterable[str], gpus: int) -> Iterator[str]:
    yield ""
    yield "[nvidia]"
    yield _stated("drivers", sorted(drivers))
    yield _stated("firmware", sorted(firmware))
    if gpus:
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
