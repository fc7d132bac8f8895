"""Real SEV-SNP reports and keys for peers to judge, and what we and virtee's tools are known to differ in."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import NamedTuple

from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.evidence.snp import Product, SnpEndorsements, checks, verify_snp
from assay.evidence.snp.claims import GuestPolicy, PlatformInfo, TcbVersion
from assay.evidence.snp.products import LAYOUTS
from assay.evidence.snp.report import SnpReport
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.verification import Unchecked
from assay.evidence.x509.general import GeneralCertificate
from support import vectors
from support.azure_vectors import parts
from support.snp_vectors import (
    authorities,
    ders,
    embedded_certificates,
    embedded_reports,
    judge,
    root_named,
    unpacked,
    window_of,
    with_crl,
)

FAMILIES = ("snp", "azure", "dstack")
TCB_OFFSETS = (0x38, 0x180, 0x1E0, 0x1F0)
SIGNATURE_BYTES = 144

# Why the two may disagree on the signature of a report of which one bit was changed. It reads a report into
# its fields and checks the signature over what it writes from them (virtee/sev#378 is to end that).
BEHIND = "behind the numbers of the signature, where we demand zeros and it does not look"
UNKEPT = "a reserved byte of a TCB version, which it does not keep, and so does not check"
# Why it cannot read a report that is genuine.
NO_CHIP = "a report of version 2 that names no chip, from which alone it would know how to read TCB versions"


class Pair(NamedTuple):
    """A real report, and what vouches for its key."""

    report: bytes
    given: SnpEndorsements
    root: bytes
    product: Product

    @property
    def kind(self):
        return GeneralCertificate.parse(self.given.vek).common_name

    @property
    def at(self):
        window = window_of(self.given)
        return window.start + (window.end - window.start) / 2

    def judge(self, report: bytes, facts: FactCache):
        """Verify a report under this key; with the archived CRL, where it fits, the key is verified once."""
        given, at = complete(self.given) or (self.given, self.at)
        return judge(report, given, at, facts)


complete = cache(with_crl)


# --- What there is ---------------------------------------------------------------------------------------


@cache
def found_in_vectors() -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return every report and every certificate of a chip's or a provider's key in the vectors, each once."""
    reports: dict[bytes, None] = {}
    keys: dict[bytes, None] = {}
    for family in FAMILIES:
        for entry in vectors.entries(family):
            data = vectors.read(entry["file"])
            if entry["kind"] == "az-snp-vtpm-evidence":
                data = parts(entry["file"]).hcl + parts(entry["file"]).vcek
            elif len(data) > 1 << 20:
                continue
            plain = unpacked(data)
            reports.update(dict.fromkeys(embedded_reports(plain)))
            keys.update(dict.fromkeys(one.der for one in embedded_certificates(plain)))
            if entry["kind"] in ("snp-vcek", "snp-vlek", "snp-vcek-chain", "snp-cert-table"):
                names = {der: GeneralCertificate.parse(der).common_name for der in ders(b"#" + data)}
                keys.update(dict.fromkeys(der for der, name in names.items() if name.startswith("SEV-V")))
    return tuple(reports), tuple(keys)


def kind_of(certificate: GeneralCertificate):
    return "vlek" if certificate.common_name == "SEV-VLEK" else "vcek"


@cache
def pairs() -> tuple[Pair, ...]:
    """Return each report with the certificate of its chip, or provider, and of its reported TCB."""
    reports, keys = found_in_vectors()
    found = []
    for der in keys:
        vek = GeneralCertificate.parse(der)
        stated = VekExtensions.parse(vek.extensions, kind_of(vek))
        issuer = authorities()[vek.issuer]
        for data in reports:
            report = SnpReport.parse(data)
            chip = stated.hwid is None or stated.hwid.ljust(64, b"\0") == report.chip_id
            if chip and kind_of(vek) == report.signing_key and stated.tcb == report.reported_tcb:
                root = root_named(issuer.issuer).der
                given = SnpEndorsements(vek=der, authority=issuer.der)
                found.append(Pair(data, given, root, stated.product))
    return tuple(found)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def passed(result, specs) -> bool:
    good = (Outcome.PASSED, Outcome.NOT_APPLICABLE)
    return all(result.ledger[spec.id].outcome in good for spec in specs)


def compared(peer: str, name: str, answers, ours, kinds) -> set[str]:
    """Hold verdicts against each other; where they differ, a kind says why. Return the kinds met."""
    differing: Counter[str] = Counter()
    for answer, own, kind in zip(answers, ours, kinds, strict=True):
        assert answer == "accepted" or answer.startswith("refused: "), answer
        if (answer == "accepted") is not own:
            assert kind is not None, answer
            differing[kind] += 1
    assert sum(ours)
    explained = "; ".join(f"{count} {kind}" for kind, count in sorted(differing.items())) or "none differs"
    vectors.note(f"{peer} on {name}: {len(ours)} compared, {sum(ours)} of them good; {explained}")
    return set(differing)


def unkept(product: Product, at: int) -> bool:
    """Tell whether a byte of a report is a reserved one of a TCB version."""
    reserved = [index for index, name in enumerate(LAYOUTS[product].components) if not name]
    return any(at - start in reserved for start in TCB_OFFSETS)


def readable(report: SnpReport) -> bool:
    return report.version > 2 or any(report.chip_id)


def chain_holds(ark: bytes, given: SnpEndorsements, at, roots=None) -> bool:
    """Tell what we say of a chain alone."""
    report = pairs()[0].report
    whole = SnpEndorsements(vek=given.vek, authority=given.authority, root=ark)
    result = verify_snp(
        report,
        endorsements=whole,
        roots=roots or Roots.vendor(),
        now=at,
        binding=Unchecked("a chain"),
        facts=FactCache(),
    )
    return passed(result, checks.CHAIN_CHECKS)


# --- Fields ----------------------------------------------------------------------------------------------


def shown(text: str) -> dict[str, str]:
    """Return each field that a report was shown with, under the heading that it stands below."""
    found: dict[str, str] = {}
    part = holder = last = ""
    for line in text.splitlines():
        name, colon, value = line.strip().partition(":")
        if not line.strip() or name == "Attestation Report":
            continue
        if not colon:
            found[last] += line.strip().replace(" ", "").lower()
            continue
        name = re.sub(r" \(.*\)$", "", name)
        if line.startswith(" "):
            last = f"{part}: {name}"
        else:
            holder = name if name.endswith(" TCB") else holder
            part = last = holder if name == "TCB Version" else name
        found[last] = value.strip()
    return found


def said(value) -> str:
    return str(value).lower() if isinstance(value, bool) else "None" if value is None else str(value)


def as_shown(report: SnpReport, product: Product) -> dict[str, str]:
    """Return our reading of a report under the names that it is shown with there."""
    policy, platform = GuestPolicy(report.policy), PlatformInfo(report.platform_info)
    family, model, stepping = report.cpuid or (None, None, None)
    found = {
        "Version": report.version,
        "Guest SVN": report.guest_svn,
        "Guest Policy": "",
        "Guest Policy: ABI Major": policy.abi_major,
        "Guest Policy: ABI Minor": policy.abi_minor,
        "Guest Policy: SMT Allowed": policy.smt,
        "Guest Policy: Migrate MA": policy.migrate_ma,
        "Guest Policy: Debug Allowed": policy.debug,
        "Guest Policy: Single Socket": policy.single_socket,
        "Guest Policy: CXL Allowed": policy.cxl,
        "Guest Policy: AEX 256 XTS": policy.aes_256_xts,
        "Guest Policy: RAPL Allowed": policy.rapl_disabled,  # RAPL_DIS
        "Guest Policy: Ciphertext hiding": policy.ciphertext_hiding,
        "Guest Policy: Page Swap Disable": policy.page_swap_disabled,
        "Family ID": report.family_id.hex(),
        "Image ID": report.image_id.hex(),
        "VMPL": report.vmpl,
        "Signature Algorithm": 1,
        "Platform Info": "",
        "Platform Info: SMT Enabled": platform.smt,
        "Platform Info: TSME Enabled": platform.tsme,
        "Platform Info: ECC Enabled": platform.ecc,
        "Platform Info: RAPL Disabled": platform.rapl_disabled,
        "Platform Info: Ciphertext Hiding Enabled": platform.ciphertext_hiding,
        "Platform Info: Alias Check Complete": platform.alias_check_complete,
        "Platform Info: SEV-TIO Enabled": platform.tio,
        "Key Information": "",
        "Key Information: author key enabled": report.author_key,
        "Key Information: mask chip key": report.mask_chip_key,
        "Key Information: signing key": report.signing_key,
        "Report Data": report.report_data.hex(),
        "Measurement": report.measurement.hex(),
        "Host Data": report.host_data.hex(),
        "ID Key Digest": report.id_key_digest.hex(),
        "Author Key Digest": report.author_key_digest.hex(),
        "Report ID": report.report_id.hex(),
        "Report ID Migration Agent": report.report_id_ma.hex(),
        "CPUID Family ID": family,
        "CPUID Model ID": model,
        "CPUID Stepping": stepping,
        "Chip ID": report.chip_id.hex(),
        "Current Version": ".".join(map(str, report.current_version)),
        "Committed Version": ".".join(map(str, report.committed_version)),
        "Launch Mitigation Vector": report.launch_mitigations,
        "Current Mitigation Vector": report.current_mitigations,
        "Signature": "",
        "Signature: R": report.r.to_bytes(72, "little").hex(),
        "Signature: S": report.s.to_bytes(72, "little").hex(),
    }
    for name in ("Current", "Reported", "Committed", "Launch"):
        tcb = TcbVersion(product, getattr(report, f"{name.lower()}_tcb"))
        found |= {
            f"{name} TCB": "",
            f"{name} TCB: Microcode": tcb.ucode,
            f"{name} TCB: SNP": tcb.snp,
            f"{name} TCB: TEE": tcb.tee,
            f"{name} TCB: Boot Loader": tcb.bl,
            f"{name} TCB: FMC": tcb.fmc,
        }
    return {name: said(value) for name, value in found.items()}
