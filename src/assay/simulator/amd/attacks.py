"""Named attacks on SEV-SNP evidence: wrong in one place, signed all the same, and the code that refuses it.

    evidence = stage("revoked-ask", SnpScene(amd, Product.GENOA, 3, "vcek", now, report_data))

Each is named after its defect. What is changed before signing stands in a draft, so the simulated chip and
the simulated AMD sign it; what is changed after is what a host or a thief of genuine evidence can do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.errors import SimulatorError
from assay.evidence.snp.products import Product
from assay.simulator.amd import pki
from assay.simulator.amd.installation import CPUID, TCB

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.simulator.amd.installation import Kind
    from assay.simulator.amd.scene import SnpEvidence, SnpScene

BOTH: tuple[Kind, ...] = ("vcek", "vlek")
VCEK: tuple[Kind, ...] = ("vcek",)


@dataclass(frozen=True, slots=True)
class SnpAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which a verifier refuses it.
        kinds: The kinds of key with which it can be made.
        least: The first version of a report in which it can be made.
        apply: Spoils a scene.
        unrouted: The code of ``assay verify`` where the bytes do not look like a report any more.
    """

    name: str
    description: str
    code: str
    kinds: tuple[Kind, ...]
    least: int
    apply: Callable[[SnpScene], None]
    unrouted: str = ""


ATTACKS: dict[str, SnpAttack] = {}


def attack(
    name: str,
    description: str,
    *,
    code: str,
    kinds: tuple[Kind, ...] = BOTH,
    least: int = 2,
    unrouted: str = "",
) -> Callable[[Callable[[SnpScene], None]], Callable[[SnpScene], None]]:
    """Register a function that spoils a scene as the attack of this name."""

    def register(apply: Callable[[SnpScene], None]) -> Callable[[SnpScene], None]:
        ATTACKS[name] = SnpAttack(name, description, code, kinds, least, apply, unrouted)
        return apply

    return register


def stage(name: str, scene: SnpScene) -> SnpEvidence:
    """Return the evidence of a scene after the attack of this name.

    Raises:
        SimulatorError: ``simulator.attack.unknown``; ``simulator.attack.platform`` when it cannot be made
            with this kind of key or version of report.
    """
    found = ATTACKS.get(name)
    if found is None:
        raise SimulatorError("simulator.attack.unknown", f"There is no attack {name!r} on SEV-SNP.")
    if scene.kind not in found.kinds or scene.version < found.least:
        raise SimulatorError(
            "simulator.attack.platform",
            f"The attack {name} cannot be made with a {scene.kind.upper()} and version {scene.version}.",
        )
    found.apply(scene)
    return scene.finish()


@attack(
    "truncated",
    "The report is cut off.",
    code="snp.report.length",
    unrouted="policy.platforms.other",
)
def _truncated(scene: SnpScene) -> None:
    scene.after_report = lambda report: report[:-1]


@attack("host-request", "The host asked for the report, not the guest.", code="snp.report.host_request")
def _host_request(scene: SnpScene) -> None:
    scene.report.vmpl = 0xFFFFFFFF


@attack("reserved-bytes", "A reserved byte of the signed report is not zero.", code="snp.report.reserved")
def _reserved_bytes(scene: SnpScene) -> None:
    scene.report.reserved[0x29F] = 1


@attack("policy-changed", "DEBUG was cleared in the policy after signing.", code="snp.report.signature")
def _policy_changed(scene: SnpScene) -> None:
    scene.report.policy |= 1 << 19
    scene.after_report = lambda report: report[:10] + bytes([report[10] & ~8]) + report[11:]


@attack("foreign-key", "A key that no certificate knows signed the report.", code="snp.report.signature")
def _foreign_key(scene: SnpScene) -> None:
    scene.key = pki.derive_p384(b"a stranger", "a key")


@attack(
    "stale-tcb",
    "The chip signed with the key of an older TCB than it reports.",
    code="snp.tcb.vek",
)
def _stale_tcb(scene: SnpScene) -> None:
    older = bytearray(scene.chip.tcb)
    older[-1] -= 1
    chip = replace(scene.chip, tcb=bytes(older))
    scene.key = chip.key(scene.kind)
    scene.vek = chip.vek_draft(scene.kind, scene.at)


@attack(
    "tcb-as-a-number",
    "One component is below the certificate's and a higher one above it, so that the whole is larger.",
    code="snp.tcb.vek",
)
def _tcb_as_a_number(scene: SnpScene) -> None:
    tcb = bytearray(scene.chip.tcb)
    tcb[0] -= 1
    tcb[-1] += 1
    scene.report.reported_tcb = scene.report.current_tcb = bytes(tcb)
    scene.report.committed_tcb = bytes(tcb)


@attack(
    "reported-above-current",
    "A component of the reported TCB is above what runs.",
    code="snp.tcb.reported",
)
def _reported_above_current(scene: SnpScene) -> None:
    current = bytearray(scene.report.current_tcb)
    current[-1] -= 1
    scene.report.current_tcb = scene.report.committed_tcb = bytes(current)


@attack("committed-above-current", "The committed TCB is above what runs.", code="snp.tcb.committed")
def _committed_above_current(scene: SnpScene) -> None:
    committed = bytearray(scene.report.committed_tcb)
    committed[-1] += 1
    scene.report.committed_tcb = bytes(committed)


@attack(
    "another-chip",
    "The certificate is of another chip than the report.",
    code="snp.chip_id.mismatch",
    kinds=VCEK,
)
def _another_chip(scene: SnpScene) -> None:
    scene.report.chip_id = hashlib.sha512(b"another chip").digest()


@attack(
    "chip-id-withheld",
    "The report names no chip and does not say that it is masked.",
    code="snp.chip_id.absent",
    kinds=VCEK,
)
def _chip_id_withheld(scene: SnpScene) -> None:
    scene.report.chip_id = bytes(64)


@attack("another-product", "The report comes from another product.", code="snp.product.match", least=3)
def _another_product(scene: SnpScene) -> None:
    other = Product.GENOA if scene.product is not Product.GENOA else Product.MILAN
    scene.report.cpuid = CPUID[other]


@attack("unsupported-product", "The report comes from a Venice.", code="snp.product.unsupported", least=3)
def _unsupported_product(scene: SnpScene) -> None:
    scene.report.cpuid = bytes([0x1A, 0x50, 0])


@attack(
    "kind-confusion",
    "The report says that the other kind of key signed it.",
    code="snp.vek.kind",
)
def _kind_confusion(scene: SnpScene) -> None:
    scene.report.flags ^= 4


@attack(
    "product-confusion",
    "The ASK certified a key for another product.",
    code="snp.vek.product",
)
def _product_confusion(scene: SnpScene) -> None:
    other = Product.TURIN if scene.product is not Product.TURIN else Product.MILAN
    chip = scene.amd.chip("a chip", other, tcb=TCB[other])
    scene.vek.extensions = list(chip.extensions(scene.kind).values())


@attack("revoked-authority", "The root revoked the ASK or ASVK.", code="snp.crl.revoked")
def _revoked_authority(scene: SnpScene) -> None:
    scene.crl.revoked.append(scene.authority.serial)


@attack("stale-crl", "The CRL is from before the last one.", code="snp.crl.time")
def _stale_crl(scene: SnpScene) -> None:
    scene.crl.next_update = scene.at.replace(microsecond=0)
    scene.crl.next_update = scene.crl.next_update.replace(year=scene.at.year - 1)
    scene.crl.this_update = scene.crl.next_update.replace(year=scene.at.year - 2)


@attack("foreign-crl", "The ASK signed the CRL, not the root.", code="snp.crl.signature")
def _foreign_crl(scene: SnpScene) -> None:
    names = scene.crl.issuer_key.public_key()
    scene.crl.issuer_key = scene.amd.authority_key(scene.product, scene.kind)
    scene.crl.names_key = names


@attack("foreign-root", "The chain ends in a root that nobody gave.", code="snp.root.not_pinned")
def _foreign_root(scene: SnpScene) -> None:
    other = replace(scene.amd, secret=b"another AMD", directory=None, bits=2048, _keys={})
    root = other.root_der(scene.product)
    scene.after_endorsements = lambda given: replace(given, root=root)


@attack("expired", "The certificate of the key has expired.", code="snp.chain.validity")
def _expired(scene: SnpScene) -> None:
    scene.vek.not_after = scene.at.replace(year=scene.at.year - 1, microsecond=0)
    scene.vek.not_before = scene.at.replace(year=scene.at.year - 3, microsecond=0)


@attack(
    "role-confusion",
    "A VCEK or VLEK certificate may issue certificates.",
    code="snp.chain.role",
)
def _role_confusion(scene: SnpScene) -> None:
    scene.vek.extensions += [pki.basic_constraints(authority=True), pki.key_usage(0x06)]


@attack("replayed", "The report was made for another session.", code="snp.binding.mismatch")
def _replayed(scene: SnpScene) -> None:
    scene.report.report_data = hashlib.sha512(b"another session").digest()
