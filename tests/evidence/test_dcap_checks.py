"""Each check of a DCAP verification has at least one input that it alone refuses, under its own code.

An input is a simulated scene with one defect, signed all the same. A check without such an input fails one of
the last tests of this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from assay.evidence.dcap import checks
from assay.evidence.decoding.pem import encode as pem
from assay.evidence.ledger import CheckSpec, Outcome
from assay.simulator import pki
from assay.simulator.intel import Installation
from assay.simulator.scene import Scene
from support.dcap_scenes import (
    DAY,
    INTEL,
    KINDS,
    NOW,
    STRANGER,
    authority,
    judge,
    leaf,
    resigned,
    scene,
    signer,
    spoilt,
    stand_in,
    with_extension,
)

TDX, SGX = ("tdx",), ("sgx",)


class Defect(NamedTuple):
    spec: CheckSpec
    code: str
    name: str
    kinds: tuple[tuple[str, int], ...]
    spoil: Callable[[Scene], None]


DEFECTS: list[Defect] = []


def proves(
    spec: CheckSpec,
    code: str = "",
    *,
    platforms: Iterable[str] = ("tdx", "sgx"),
    versions: Iterable[int] = (3, 4, 5),
):
    """Register a function that spoils a scene so that ``spec``, and nothing else, refuses it."""
    kinds = tuple((p, v) for p, v in KINDS if p in platforms and v in versions)

    def register(spoil):
        DEFECTS.append(Defect(spec, code or spec.id, spoil.__name__, kinds, spoil))
        return spoil

    return register


@pytest.mark.parametrize(("platform", "version"), KINDS)
def test_nothing_is_wrong_without_a_defect(platform, version):
    result = judge(scene(platform, version).finish())
    assert result.authentic
    assert result.bound
    assert result.simulated
    assert not result.ledger.unmet()
    not_applicable = {c.id for c in result.ledger if c.outcome is Outcome.NOT_APPLICABLE}
    module = {
        checks.TDX_MODULE_IDENTITY.id,
        checks.TDX_MODULE_SIGNER.id,
        checks.TDX_MODULE_ATTRIBUTES.id,
    }
    assert not_applicable == (module if platform == "sgx" else set())


# --- The quote's layout


def after(change):
    def spoil(stage):
        stage.after_quote = change

    return spoil


def patch(stage, offset, data):
    """Overwrite bytes of the signed quote."""
    stage.after_quote = lambda quote: quote[:offset] + data + quote[offset + len(data) :]


@proves(checks.QUOTE_LAYOUT, "dcap.quote.truncated")
def header_only(stage):
    stage.after_quote = lambda quote: quote[:53]


@proves(checks.QUOTE_LAYOUT, "dcap.quote.truncated")
def empty(stage):
    stage.after_quote = lambda quote: b""


@proves(checks.QUOTE_LAYOUT, "dcap.quote.truncated")
def ends_in_its_body(stage):
    stage.after_quote = lambda quote: quote[:300]


@proves(checks.QUOTE_LAYOUT, "dcap.quote.truncated")
def ends_in_its_signature(stage):
    stage.after_quote = lambda quote: quote[:-1]


@proves(checks.QUOTE_LAYOUT, "dcap.quote.oversized")
def longer_than_any_quote(stage):
    stage.after_quote = lambda quote: quote.ljust((1 << 17) + 1, b"\0")


@proves(checks.QUOTE_LAYOUT, "dcap.quote.length")
def bytes_behind_the_chain(stage):
    stage.quote.after_wrapper = b"\0"


@proves(checks.QUOTE_LAYOUT, "dcap.quote.length", versions=(4, 5))
def bytes_behind_the_chain_inside_the_wrapper(stage):
    stage.quote.after_certification = b"\0"


@proves(checks.QUOTE_LAYOUT, "dcap.quote.length", versions=(5,))
def body_of_another_size_than_its_type(stage):
    patch(stage, 50, (583).to_bytes(4, "little"))


@proves(checks.QUOTE_LAYOUT, "dcap.quote.length")
def section_too_small_for_a_report(stage):
    size = 128 if stage.version == 3 else 134
    start = 48 + (6 if stage.version == 5 else 0) + len(stage.quote.body.data)

    def cut(quote):
        head = quote[: start + 4 + size]
        if stage.version > 3:
            head = head[:-4] + (0).to_bytes(4, "little")
        return head[:start] + size.to_bytes(4, "little") + head[start + 4 :]

    stage.after_quote = cut


@proves(checks.QUOTE_LAYOUT, "dcap.quote.length", versions=(4,))
def section_too_small_for_a_type(stage):
    start = 48 + len(stage.quote.body.data)
    size = 130
    stage.after_quote = lambda quote: (
        quote[:start] + size.to_bytes(4, "little") + quote[start + 4 : start + 4 + size]
    )


@proves(checks.QUOTE_LAYOUT, "dcap.quote.length")
def authentication_data_that_eats_the_chain(stage):
    start = 48 + (6 if stage.version == 5 else 0) + len(stage.quote.body.data)
    at = start + 4 + 128 + (6 if stage.version > 3 else 0) + 384 + 64
    patch(stage, at, b"\xff\xff")


@proves(checks.QUOTE_VERSION, "dcap.quote.version")
def version_of_the_future(stage):
    patch(stage, 0, b"\x06\x00")


@proves(checks.QUOTE_VERSION, "dcap.quote.version")
def version_before_the_first(stage):
    patch(stage, 0, b"\x02\x00")


@proves(checks.QUOTE_VERSION, "dcap.quote.body_type", versions=(5,))
def body_that_no_format_knows(stage):
    patch(stage, 48, b"\x04\x00")


@proves(checks.QUOTE_KEY_TYPE, "dcap.quote.key_type")
def key_of_another_curve(stage):
    stage.quote.header["att_key_type"] = 3


@proves(checks.QUOTE_PLATFORM, "dcap.quote.platform")
def quote_of_the_other_tee(stage):
    if stage.platform == "tdx":
        stage.quote = stage.machine.enclave().draft(stage.report_data, version=stage.version)
    else:
        stage.quote = stage.machine.trust_domain().draft(stage.report_data, version=4)


@proves(checks.QUOTE_PLATFORM, "dcap.quote.tee_type", versions=(4, 5))
def tee_type_that_no_tee_has(stage):
    stage.quote.header["tee_type"] = 0x82


@proves(checks.QUOTE_PLATFORM, "dcap.quote.tee_type", versions=(5,))
def tee_type_of_another_body(stage):
    stage.quote.header["tee_type"] = 0 if stage.platform == "tdx" else 0x81


@proves(checks.QUOTE_VENDOR)
def vendor_that_is_not_intel(stage):
    stage.quote.header["qe_vendor_id"] = bytes(16)


@proves(checks.QUOTE_RESERVED, versions=(4, 5))
def reserved_bytes_of_a_header(stage):
    stage.quote.header["pce_svn"] = 1


@proves(checks.QUOTE_RESERVED, versions=(3,))
def reserved_bytes_of_an_old_header(stage):
    stage.quote.header["tee_type"] = 0x81


@proves(checks.QUOTE_RESERVED, platforms=SGX)
def reserved_bytes_1_of_a_report(stage):
    stage.quote.body["reserved_1"] = bytes(11) + b"\x01"


@proves(checks.QUOTE_RESERVED, platforms=SGX)
def reserved_bytes_2_of_a_report(stage):
    stage.quote.body["reserved_2"] = bytes(31) + b"\x01"


@proves(checks.QUOTE_RESERVED, platforms=SGX)
def reserved_bytes_3_of_a_report(stage):
    stage.quote.body["reserved_3"] = b"\x01" + bytes(31)


@proves(checks.QUOTE_RESERVED, platforms=SGX)
def reserved_bytes_4_of_a_report(stage):
    stage.quote.body["reserved_4"] = b"\x01" + bytes(41)


@proves(checks.QUOTE_RESERVED)
def reserved_bytes_of_the_enclave_that_quotes(stage):
    stage.quote.qe_report["reserved_3"] = b"\x01" + bytes(31)


@proves(checks.QUOTE_CERTIFICATION, "dcap.quote.certification_type", versions=(4, 5))
def wrapper_of_another_type(stage):
    stage.quote.outer_type = 5


@proves(checks.QUOTE_CERTIFICATION, "dcap.quote.certification_type")
def encrypted_id_instead_of_a_chain(stage):
    stage.quote.inner_type = 3


@proves(checks.QUOTE_TRAILING)
def junk_behind_the_quote(stage):
    stage.quote.after_section = bytes(69) + b"\x01"


# --- The PCK chain


def chain_text(change):
    def spoil(stage):
        stage.quote.certification = change(stage.quote.pem_chain())

    return spoil


PEM_DEFECTS = {
    "no_certificate": lambda text: b"",
    "text_before": lambda text: b"# PCK\n" + text,
    "text_between": lambda text: text.replace(b"-----\n-----", b"-----\n \n-----", 1),
    "text_behind": lambda text: text.rstrip(b"\0") + b"x",
    "nul_between": lambda text: text.replace(b"-----\n-----", b"-----\n\0-----", 1),
    "two_certificates": lambda text: text[text.index(b"-----END CERTIFICATE-----\n") + 26 :],
    "four_certificates": lambda text: text.rstrip(b"\0") * 2,
    "another_label": lambda text: text.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
    "short_lines": lambda text: text.replace(b"\n", b"\n\n", 3),
    "not_base64": lambda text: text[:40] + b"!" + text[41:],
    "oversized": lambda text: text.rstrip(b"\0") + b"\n" * 16384,
}
for _name, _change in PEM_DEFECTS.items():
    _spoil = chain_text(_change)
    _spoil.__name__ = f"pem_with_{_name}"
    proves(checks.PCK_LAYOUT, "dcap.pck.malformed")(_spoil)


@proves(checks.PCK_LAYOUT, "dcap.pck.malformed")
def certificate_with_bytes_behind_it(stage):
    issued = stage.machine.pck
    stage.quote.certificates[0] = stand_in(issued.der + b"\0", issued.key).certificate


@proves(checks.PCK_LAYOUT, "dcap.pck.malformed")
def certificate_with_two_algorithms(stage):
    """The unsigned copy of the algorithm says something else than the signed one."""
    der = stage.machine.pck.der
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    at = der.rindex(algorithm)
    changed = der[:at] + bytes.fromhex("300a06082a8648ce3d040303") + der[at + len(algorithm) :]
    stage.quote.certificates[0] = stand_in(changed, stage.machine.pck.key).certificate


@proves(checks.PCK_LAYOUT, "dcap.pck.malformed")
def certificate_with_an_extension_twice(stage):
    def double(content):
        at = content.index(bytes.fromhex("0603551d0f")) - 2
        extension = content[at : at + 2 + content[at + 1]]
        head = content[:at]
        outer = head.rindex(b"\xa3")
        inner = outer + (4 if content[outer + 1] == 0x82 else 2)
        body = content[inner:]
        size = body[2:4] if body[1] == 0x82 else None
        assert size is not None
        items = body[4:] + extension
        listed = b"\x30\x82" + len(items).to_bytes(2, "big") + items
        return content[:outer] + b"\xa3\x82" + len(listed).to_bytes(2, "big") + listed

    changed = resigned(stage.machine.pck.der, INTEL.platform_ca.key, double)
    stage.quote.certificates[0] = stand_in(changed, stage.machine.pck.key).certificate


@proves(checks.ROOT_PINNED, "dcap.root.not_pinned")
def root_of_somebody_else(stage):
    other = Installation(b"\x08" * 32)
    machine = other.machine("elsewhere")
    stage.quote.certificates = [
        machine.pck.certificate,
        other.platform_ca.certificate,
        other.root.certificate,
    ]
    stage.quote.pck_key = machine.pck.key


@proves(checks.ROOT_PINNED, "dcap.root.not_pinned")
def root_issued_again_for_the_same_key(stage):
    again = pki.self_signed(replace(pki.ROOT, not_after=pki.FOREVER - DAY), INTEL.root.key)
    stage.quote.certificates[2] = again.certificate


@proves(checks.ROOT_PINNED, "dcap.root.not_pinned")
def chain_in_the_wrong_order(stage):
    stage.quote.certificates[1:] = stage.quote.certificates[:0:-1]


@proves(checks.PCK_CHAIN)
def leaf_signed_by_a_stranger(stage):
    forger = replace(INTEL.platform_ca, key=STRANGER)
    stage.quote.certificates[0] = forger.issue(stage.machine.pck_profile, stage.machine.pck.key).certificate


@proves(checks.PCK_CHAIN)
def authority_signed_by_a_stranger(stage):
    forger = replace(INTEL.root, key=STRANGER)
    stage.quote.certificates[1] = forger.issue(pki.PLATFORM_CA, INTEL.platform_ca.key).certificate


@proves(checks.PCK_CHAIN)
def leaf_of_another_authority(stage):
    issued = INTEL.processor_ca.issue(stage.machine.pck_profile, stage.machine.pck.key)
    stage.quote.certificates[0] = issued.certificate


@proves(checks.PCK_CHAIN)
def leaf_that_names_another_issuer(stage):
    leaf(stage, issuer_name="Intel SGX PCK Processor CA")


@proves(checks.PCK_CHAIN)
def leaf_that_names_another_key(stage):
    """The names fit, the signature fits; the key identifier is another key's."""
    own = INTEL.platform_ca.certificate
    digest = own.extensions.get_extension_for_class(pki.x509.SubjectKeyIdentifier).value.digest
    changed = resigned(
        stage.machine.pck.der, INTEL.platform_ca.key, lambda content: content.replace(digest, b"\x11" * 20, 1)
    )
    stage.quote.certificates[0] = stand_in(changed, stage.machine.pck.key).certificate


@proves(checks.PCK_ROLE)
def leaf_with_another_name(stage):
    leaf(stage, common_name="Intel SGX TCB Signing")


@proves(checks.PCK_ROLE)
def leaf_that_is_an_authority(stage):
    leaf(stage, authority=True, path_length=0)


@proves(checks.PCK_ROLE)
def leaf_that_may_sign_certificates(stage):
    leaf(stage, usage=pki.SIGNER_USAGE | {"key_cert_sign"})


@proves(checks.PCK_ROLE)
def leaf_that_may_not_sign(stage):
    leaf(stage, usage=frozenset({"key_agreement"}))


@proves(checks.PCK_ROLE)
def leaf_with_usage_that_need_not_be_minded(stage):
    leaf(stage, criticality=False)


USAGE = bytes.fromhex("0603551d0f0101ff0404030206c0")


def malformed_usage(issued, issuer):
    """A key usage in another than its one encoding, signed by the issuer."""
    spoilt_usage = USAGE[:-1] + b"\xc1"
    return stand_in(resigned(issued.der, issuer.key, lambda c: c.replace(USAGE, spoilt_usage, 1)), issued.key)


@proves(checks.PCK_ROLE)
def leaf_with_a_malformed_usage(stage):
    stage.quote.certificates[0] = malformed_usage(stage.machine.pck, INTEL.platform_ca).certificate


@proves(checks.TCB_SIGNER_ROLE)
def signer_with_a_malformed_usage(stage):
    changed = malformed_usage(INTEL.tcb_signer, INTEL.root)
    stage.after_collateral = lambda given: replace(
        given,
        tcb_info_issuer_chain=pem(changed.certificate.public_bytes(Encoding.DER), INTEL.root_der),
        qe_identity_issuer_chain=pem(changed.certificate.public_bytes(Encoding.DER), INTEL.root_der),
    )


@proves(checks.PCK_CRL_CHAIN)
def list_authority_with_malformed_constraints(stage):
    own = bytes.fromhex("0603551d130101ff040830060101ff020100")
    changed = resigned(INTEL.platform_ca.der, INTEL.root.key, lambda c: c.replace(own, own[:-1] + b"\x80", 1))
    stage.after_collateral = lambda given: replace(given, pck_crl_issuer_chain=pem(changed, INTEL.root_der))


@proves(checks.PCK_ROLE)
def leaf_without_a_platform(stage):
    leaf(stage, extension=None)


@proves(checks.PCK_ROLE)
def leaf_with_an_unknown_critical_extension(stage):
    changed = with_extension(stage.machine.pck, INTEL.platform_ca, "1.2.3.4", critical=True)
    stage.quote.certificates[0] = changed.certificate


@proves(checks.PCK_ROLE)
def authority_with_another_name(stage):
    authority(stage, common_name="Intel SGX PCK Planet CA")
    issued = INTEL.root.issue(
        replace(pki.PLATFORM_CA, common_name="Intel SGX PCK Planet CA"), INTEL.platform_ca.key
    )
    stage.quote.certificates[0] = issued.issue(stage.machine.pck_profile, stage.machine.pck.key).certificate


@proves(checks.PCK_ROLE)
def authority_that_is_none(stage):
    authority(stage, authority=False, path_length=None)


@proves(checks.PCK_ROLE)
def authority_over_authorities(stage):
    authority(stage, path_length=1)


@proves(checks.PCK_ROLE)
def authority_without_a_path_length(stage):
    authority(stage, path_length=None)


@proves(checks.PCK_ROLE)
def authority_that_may_not_sign_lists(stage):
    authority(stage, usage=frozenset({"key_cert_sign"}))


@proves(checks.PCK_ROLE)
def leaf_under_the_tcb_signer(stage):
    """A chain of genuine certificates to the pinned root, the middle one of another role."""
    issued = INTEL.tcb_signer.issue(stage.machine.pck_profile, stage.machine.pck.key)
    stage.quote.certificates[:2] = [issued.certificate, INTEL.tcb_signer.certificate]


@proves(checks.PCK_VALIDITY)
def leaf_that_expired(stage):
    leaf(stage, not_after=NOW - DAY)


@proves(checks.PCK_VALIDITY)
def leaf_of_tomorrow(stage):
    leaf(stage, not_before=NOW + DAY)


@proves(checks.PCK_VALIDITY)
def authority_that_expired(stage):
    authority(stage, not_after=NOW - DAY)


@proves(checks.PCK_VALIDITY)
def authority_of_tomorrow(stage):
    authority(stage, not_before=NOW + DAY)


def extension(**changes):
    def spoil(stage):
        leaf(stage, extension=replace(stage.machine.extension, **changes))

    return spoil


EXTENSION_DEFECTS = {
    "fifteen_components": {"components": (1,) * 15},
    "seventeen_components": {"components": (1,) * 17},
    "a_component_above_a_byte": {"components": (256,) + (1,) * 15},
    "a_short_fmspc": {"fmspc": b"\x00\x80\x6f\x05\x00"},
    "a_long_pceid": {"pce_id": b"\0\0\0"},
    "a_short_ppid": {"ppid": bytes(15)},
    "a_short_cpusvn": {"cpu_svn": bytes(15)},
    "an_unknown_sgx_type": {"sgx_type": 3},
    "a_short_instance_id": {"platform_instance_id": bytes(15)},
    "a_pcesvn_above_two_bytes": {"pce_svn": 65536},
}
for _name, _changes in EXTENSION_DEFECTS.items():
    _spoil = extension(**_changes)
    _spoil.__name__ = f"extension_with_{_name}"
    proves(checks.PCK_EXTENSION)(_spoil)


# --- Revocation


def raw_list(name, change):
    """Replace an encoded CRL after it was made."""

    def spoil(stage):
        stage.after_collateral = lambda given: replace(given, **{name: change(getattr(given, name))})

    return spoil


def crl_defects(name, key):
    number = bytes.fromhex("0603551d14")
    return {
        "bytes_behind": raw_list(name, lambda der: der + b"\0"),
        "no_list": raw_list(name, lambda der: b""),
        "version_1": raw_list(name, lambda der: resigned(der, key(), lambda c: b"\x02\x01\x00" + c[3:])),
        "a_critical_extension": raw_list(
            name,
            lambda der: resigned(der, key(), lambda c: c.replace(number, bytes.fromhex("0603551d1b"), 1)),
        ),
        "no_next_update": raw_list(name, lambda der: resigned(der, key(), without_next_update)),
    }


def without_next_update(content: bytes) -> bytes:
    at = content.index(b"\x17\x0d") + 15
    assert content[at : at + 2] == b"\x17\x0d"
    return content[:at] + content[at + 15 :]


for _name, _spoil in crl_defects("root_ca_crl", lambda: INTEL.root.key).items():
    _spoil.__name__ = f"root_crl_with_{_name}"
    proves(checks.ROOT_CRL_LAYOUT, "dcap.root_crl.malformed")(_spoil)
for _name, _spoil in crl_defects("pck_crl", lambda: INTEL.platform_ca.key).items():
    _spoil.__name__ = f"pck_crl_with_{_name}"
    proves(checks.PCK_CRL_LAYOUT, "dcap.pck_crl.malformed")(_spoil)


@proves(checks.ROOT_CRL_LAYOUT, "dcap.root_crl.malformed")
def root_crl_without_a_number(stage):
    stage.collateral.root_crl.number = None


@proves(checks.ROOT_CRL_LAYOUT, "dcap.root_crl.malformed")
def root_crl_without_a_key(stage):
    stage.collateral.root_crl.names_key = False


@proves(checks.PCK_CRL_LAYOUT, "dcap.pck_crl.malformed")
def pck_crl_without_a_number(stage):
    stage.collateral.pck_crl.number = None


@proves(checks.ROOT_CRL_ISSUER)
def root_crl_of_an_authority(stage):
    stage.collateral.root_crl.issuer = INTEL.platform_ca


@proves(checks.ROOT_CRL_ISSUER)
def root_crl_that_names_somebody_else(stage):
    stage.collateral.root_crl.issuer_name = "Intel SGX PCK Platform CA"


@proves(checks.ROOT_CRL_SIGNATURE)
def root_crl_signed_by_a_stranger(stage):
    stage.collateral.root_crl.issuer = replace(INTEL.root, key=STRANGER)


@proves(checks.ROOT_CRL_TIME)
def root_crl_that_is_overdue(stage):
    stage.collateral.root_crl.next_update = NOW - DAY
    stage.collateral.root_crl.this_update = NOW - 30 * DAY


@proves(checks.ROOT_CRL_TIME)
def root_crl_of_tomorrow(stage):
    stage.collateral.root_crl.this_update = NOW + DAY


@proves(checks.ROOT_CRL_REVOKED)
def authority_that_is_revoked(stage):
    stage.collateral.root_crl.revoked.append(INTEL.platform_ca.certificate.serial_number)


@proves(checks.ROOT_CRL_REVOKED)
def tcb_signer_that_is_revoked(stage):
    stage.collateral.root_crl.revoked += [5, INTEL.tcb_signer.certificate.serial_number, 6]


@proves(checks.ROOT_CRL_REVOKED)
def second_signer_that_is_revoked(stage):
    other = INTEL.root.issue(pki.TCB_SIGNING, STRANGER)
    stage.collateral.qe_signer = other
    stage.collateral.qe_chain = [other, INTEL.root]
    stage.collateral.root_crl.revoked.append(other.certificate.serial_number)


@proves(checks.ROOT_CRL_REVOKED)
def list_authority_that_is_revoked(stage):
    """The authority has two certificates for one key; the one that came with its list is revoked."""
    again = INTEL.root.issue(replace(pki.PLATFORM_CA, serial=0x5EED), INTEL.platform_ca.key)
    stage.collateral.pck_crl_chain = [again, INTEL.root]
    stage.collateral.root_crl.revoked.append(0x5EED)


@proves(checks.PCK_CRL_CHAIN)
def list_authority_signed_by_a_stranger(stage):
    forged = replace(INTEL.root, key=STRANGER).issue(pki.PLATFORM_CA, STRANGER)
    stage.collateral.pck_crl_chain = [forged, INTEL.root]
    stage.collateral.pck_crl.issuer = forged


@proves(checks.PCK_CRL_CHAIN)
def list_authority_of_another_role(stage):
    stage.collateral.pck_crl_chain = [INTEL.tcb_signer, INTEL.root]


@proves(checks.PCK_CRL_CHAIN)
def list_chain_without_its_root(stage):
    stage.collateral.pck_crl_chain = [INTEL.platform_ca]


@proves(checks.PCK_CRL_CHAIN)
def list_chain_to_another_root(stage):
    stage.collateral.pck_crl_chain = [INTEL.platform_ca, Installation(b"\x08" * 32).root]


@proves(checks.PCK_CRL_CHAIN, "dcap.pck_crl.chain_validity")
def list_authority_that_expired(stage):
    again = INTEL.root.issue(replace(pki.PLATFORM_CA, not_after=NOW - DAY), INTEL.platform_ca.key)
    stage.collateral.pck_crl_chain = [again, INTEL.root]


@proves(checks.PCK_CRL_ISSUER)
def list_of_the_other_authority(stage):
    stage.collateral.pck_crl.issuer = INTEL.processor_ca
    stage.collateral.pck_crl_chain[0] = INTEL.processor_ca


@proves(checks.PCK_CRL_ISSUER)
def list_of_another_key_of_the_same_name(stage):
    other = INTEL.root.issue(pki.PLATFORM_CA, STRANGER)
    stage.collateral.pck_crl.issuer = other
    stage.collateral.pck_crl_chain[0] = other


@proves(checks.PCK_CRL_ISSUER)
def list_that_names_another_issuer(stage):
    """Signed by the right key, under the right chain, and of somebody else by its own word."""
    stage.collateral.pck_crl.issuer_name = "Intel SGX PCK Processor CA"


@proves(checks.PCK_CRL_ISSUER)
def list_that_names_another_key(stage):
    """Right name, right signature, and the identifier of another key."""
    own = INTEL.platform_ca.certificate
    digest = own.extensions.get_extension_for_class(pki.x509.SubjectKeyIdentifier).value.digest
    raw_list(
        "pck_crl",
        lambda der: resigned(der, INTEL.platform_ca.key, lambda c: c.replace(digest, b"\x11" * 20, 1)),
    )(stage)


@proves(checks.PCK_CRL_SIGNATURE)
def list_signed_by_a_stranger(stage):
    stage.collateral.pck_crl.issuer = replace(INTEL.platform_ca, key=STRANGER)


@proves(checks.PCK_CRL_TIME)
def list_that_is_overdue(stage):
    stage.collateral.pck_crl.next_update = NOW - DAY
    stage.collateral.pck_crl.this_update = NOW - 30 * DAY


@proves(checks.PCK_CRL_TIME)
def list_of_tomorrow(stage):
    stage.collateral.pck_crl.this_update = NOW + DAY


@proves(checks.PCK_CRL_REVOKED)
def leaf_that_is_revoked(stage):
    stage.collateral.pck_crl.revoked += [5, stage.machine.pck.certificate.serial_number, 6]


# --- Signers


@proves(checks.TCB_SIGNER_CHAIN)
def documents_signed_by_a_pck_key(stage):
    """Role confusion: a chain to the pinned root, of one extracted PCK key."""
    thief = INTEL.machine("a machine whose key was extracted").pck
    signer(stage, thief, [thief, INTEL.platform_ca, INTEL.root])


@proves(checks.TCB_SIGNER_CHAIN)
def documents_signed_by_a_pck_key_and_a_shorter_chain(stage):
    signer(stage, INTEL.machine("a machine whose key was extracted").pck)


@proves(checks.TCB_SIGNER_CHAIN)
def signer_of_a_stranger(stage):
    signer(stage, replace(INTEL.root, key=STRANGER).issue(pki.TCB_SIGNING, STRANGER))


@proves(checks.TCB_SIGNER_CHAIN)
def second_signer_of_a_stranger(stage):
    forged = replace(INTEL.root, key=STRANGER).issue(pki.TCB_SIGNING, STRANGER)
    stage.collateral.qe_signer = forged
    stage.collateral.qe_chain = [forged, INTEL.root]


@proves(checks.TCB_SIGNER_CHAIN)
def signer_without_its_root(stage):
    signer(stage, INTEL.tcb_signer, [INTEL.tcb_signer])


@proves(checks.TCB_SIGNER_CHAIN)
def signer_under_its_own_root(stage):
    """A chain that verifies under itself, and is not the PCK chain's."""
    other = Installation(b"\x08" * 32)
    signer(stage, other.tcb_signer, [other.tcb_signer, other.root])


@proves(checks.TCB_SIGNER_ROLE)
def documents_signed_by_the_pck_authority(stage):
    """Certified by the root directly, for something else."""
    signer(stage, INTEL.platform_ca)


@proves(checks.TCB_SIGNER_ROLE)
def documents_signed_by_the_root(stage):
    signer(stage, INTEL.root)


@proves(checks.TCB_SIGNER_ROLE)
def signer_with_another_name(stage):
    profile = replace(pki.TCB_SIGNING, common_name="Intel SGX PCK Certificate")
    signer(stage, INTEL.root.issue(profile, STRANGER))


@proves(checks.TCB_SIGNER_ROLE)
def signer_that_is_an_authority(stage):
    profile = replace(pki.TCB_SIGNING, authority=True, path_length=0)
    signer(stage, INTEL.root.issue(profile, STRANGER))


@proves(checks.TCB_SIGNER_ROLE)
def signer_that_may_not_sign(stage):
    signer(stage, INTEL.root.issue(replace(pki.TCB_SIGNING, usage=frozenset({"key_agreement"})), STRANGER))


@proves(checks.TCB_SIGNER_ROLE)
def second_signer_with_another_name(stage):
    profile = replace(pki.TCB_SIGNING, common_name="Intel SGX TCB Scribbling")
    other = INTEL.root.issue(profile, STRANGER)
    stage.collateral.qe_signer = other
    stage.collateral.qe_chain = [other, INTEL.root]


@proves(checks.TCB_SIGNER_VALIDITY)
def signer_that_expired(stage):
    signer(stage, INTEL.root.issue(replace(pki.TCB_SIGNING, not_after=NOW - DAY), STRANGER))


@proves(checks.TCB_SIGNER_VALIDITY)
def signer_of_tomorrow(stage):
    signer(stage, INTEL.root.issue(replace(pki.TCB_SIGNING, not_before=NOW + DAY), STRANGER))


# --- Documents


def bits_of(name):
    def spoil(stage):
        stage.after_collateral = lambda given: replace(
            given, **{name: getattr(given, name)[:-1] + bytes([getattr(given, name)[-1] ^ 1])}
        )

    return spoil


@proves(checks.TCB_INFO_SIGNATURE)
def info_with_another_signature(stage):
    bits_of("tcb_info_signature")(stage)


@proves(checks.TCB_INFO_SIGNATURE)
def info_with_a_short_signature(stage):
    stage.after_collateral = lambda given: replace(given, tcb_info_signature=given.tcb_info_signature[:63])


@proves(checks.TCB_INFO_SIGNATURE)
def info_changed_after_signing(stage):
    stage.after_collateral = lambda given: replace(
        given, tcb_info=given.tcb_info.replace(b'"OutOfDate"', b'"UpToDate"', 1)
    )


@proves(checks.TCB_INFO_SIGNATURE)
def info_written_again(stage):
    stage.after_collateral = lambda given: replace(
        given, tcb_info=json.dumps(json.loads(given.tcb_info), indent=1).encode()
    )


@proves(checks.QE_IDENTITY_SIGNATURE)
def identity_with_another_signature(stage):
    bits_of("qe_identity_signature")(stage)


@proves(checks.QE_IDENTITY_SIGNATURE)
def identity_without_a_signature(stage):
    stage.after_collateral = lambda given: replace(given, qe_identity_signature=b"")


@proves(checks.QE_IDENTITY_SIGNATURE)
def identity_written_again(stage):
    stage.after_collateral = lambda given: replace(given, qe_identity=given.qe_identity + b"\n")


def member(document, path, value):
    """Set, or with ``...`` remove, one member of a document before it is signed."""

    def spoil(stage):
        target = getattr(stage.collateral, document)
        *way, last = path
        for step in way:
            target = target[step]
        if value is ...:
            del target[last]
        else:
            target[last] = value

    return spoil


LEVEL = ("tcbLevels", 0)
INFO_DEFECTS = {
    "no_fmspc": (("fmspc",), ...),
    "a_short_fmspc": (("fmspc",), "00806F0500"),
    "an_fmspc_with_spaces": (("fmspc",), "00806F05  "),
    "an_fmspc_of_digits": (("fmspc",), 806),
    "no_pceid": (("pceId",), ...),
    "a_malformed_pceid": (("pceId",), "00x0"),
    "no_issue_date": (("issueDate",), ...),
    "an_impossible_date": (("issueDate",), "2026-16-06T10:12:17Z"),
    "a_date_without_a_zone": (("nextUpdate",), "2026-12-06T10:12:17"),
    "a_date_of_another_zone": (("nextUpdate",), "2026-12-06T10:12:17+01:00"),
    "no_levels": (("tcbLevels",), []),
    "levels_that_are_no_list": (("tcbLevels",), {}),
    "a_level_that_is_no_object": (LEVEL, "UpToDate"),
    "no_status": ((*LEVEL, "tcbStatus"), ...),
    "a_status_that_is_no_string": ((*LEVEL, "tcbStatus"), 1),
    "no_date": ((*LEVEL, "tcbDate"), ...),
    "no_pcesvn": ((*LEVEL, "tcb", "pcesvn"), ...),
    "a_negative_pcesvn": ((*LEVEL, "tcb", "pcesvn"), -1),
    "a_pcesvn_above_two_bytes": ((*LEVEL, "tcb", "pcesvn"), 65536),
    "a_pcesvn_that_is_a_bool": ((*LEVEL, "tcb", "pcesvn"), True),
    "a_pcesvn_that_is_a_fraction": ((*LEVEL, "tcb", "pcesvn"), 1.5),
    "a_component_above_a_byte": ((*LEVEL, "tcb", "sgxtcbcomponents", 0, "svn"), 256),
    "a_component_below_zero": ((*LEVEL, "tcb", "sgxtcbcomponents", 0, "svn"), -1),
    "a_component_that_is_a_bool": ((*LEVEL, "tcb", "sgxtcbcomponents", 0, "svn"), False),
    "a_component_without_a_number": ((*LEVEL, "tcb", "sgxtcbcomponents", 0), {}),
    "a_component_that_is_no_object": ((*LEVEL, "tcb", "sgxtcbcomponents", 0), 3),
    "fifteen_components": ((*LEVEL, "tcb", "sgxtcbcomponents", 15), ...),
    "no_components": ((*LEVEL, "tcb", "sgxtcbcomponents"), ...),
    "advisories_that_are_no_list": ((*LEVEL, "advisoryIDs"), "INTEL-SA-00001"),
    "advisories_that_are_no_strings": ((*LEVEL, "advisoryIDs"), [1]),
    "an_advisory_for_the_terminal": ((*LEVEL, "advisoryIDs"), ["\x1b[2J"]),
    "too_many_advisories": ((*LEVEL, "advisoryIDs"), ["INTEL-SA-00001"] * 257),
    "no_evaluation_number": (("tcbEvaluationDataNumber",), ...),
    "an_evaluation_number_that_is_text": (("tcbEvaluationDataNumber",), "17"),
    "another_composition": (("tcbType",), 1),
    "a_version_that_is_text": (("version",), "3"),
    "an_id_that_is_none": (("id",), None),
}
INFO_DEFECTS_OF_TDX = {
    "no_module": (("tdxModule",), ...),
    "a_module_without_a_signer": (("tdxModule", "mrsigner"), ...),
    "a_module_with_a_short_mask": (("tdxModule", "attributesMask"), "FF"),
    "identities_that_are_no_list": (("tdxModuleIdentities",), {"id": "TDX_01"}),
    "an_identity_with_a_malformed_name": (("tdxModuleIdentities", 0, "id"), "TDX_1"),
    "an_identity_of_the_base_module": (("tdxModuleIdentities", 0, "id"), "TDX_00"),
    "an_identity_twice": (("tdxModuleIdentities", 0, "id"), "tdx_01"),
    "an_identity_without_levels": (("tdxModuleIdentities", 0, "tcbLevels"), []),
    "an_identity_level_without_a_number": (("tdxModuleIdentities", 0, "tcbLevels", 0, "tcb"), {}),
    "fifteen_tdx_components": ((*LEVEL, "tcb", "tdxtcbcomponents", 15), ...),
    "no_tdx_components": ((*LEVEL, "tcb", "tdxtcbcomponents"), ...),
}
for _table, _platforms in ((INFO_DEFECTS, ("tdx", "sgx")), (INFO_DEFECTS_OF_TDX, TDX)):
    for _name, (_path, _value) in _table.items():
        _spoil = member("tcb_info", _path, _value)
        _spoil.__name__ = f"info_with_{_name}"
        proves(checks.TCB_INFO_LAYOUT, platforms=_platforms)(_spoil)

TEXT_DEFECTS = {
    "a_member_twice": lambda text: text.replace(b'"pceId":', b'"pceId":"0001","pceId":', 1),
    "a_member_twice_deep_inside": lambda text: text.replace(b'"pcesvn":', b'"pcesvn":0,"pcesvn":', 1),
    "not_a_number": lambda text: text.replace(b'"tcbType":0', b'"tcbType":NaN', 1),
    "infinity": lambda text: text[:-1] + b',"x":-Infinity}',
    "bytes_behind": lambda text: text + b"{}",
    "no_json": lambda text: b"\xff\xfe",
    "another_value": lambda text: b"[" + text + b"]",
    "nothing": lambda text: b"",
    "a_byte_order_mark": lambda text: b"\xef\xbb\xbf" + text,
    "a_number_of_5000_digits": lambda text: text[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "nesting": lambda text: text[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "too_many_objects": lambda text: text[:-1] + b',"x":[' + b"{}," * 17000 + b"0]}",
}
for _name, _change in TEXT_DEFECTS.items():

    def _spoil(stage, change=_change):
        from assay.simulator.endorsements import compact

        stage.collateral.tcb_info_bytes = change(compact(stage.collateral.tcb_info))

    _spoil.__name__ = f"info_text_with_{_name}"
    proves(checks.TCB_INFO_LAYOUT, versions=(3, 4))(_spoil)


IDENTITY_DEFECTS = {
    "no_signer": (("mrsigner",), ...),
    "a_short_signer": (("mrsigner",), "00"),
    "no_product": (("isvprodid",), ...),
    "a_product_above_two_bytes": (("isvprodid",), 65536),
    "no_attributes": (("attributes",), ...),
    "no_mask": (("attributesMask",), ...),
    "a_short_mask": (("miscselectMask",), "FFFFFF"),
    "no_levels": (("tcbLevels",), []),
    "a_level_without_a_number": ((*LEVEL, "tcb", "isvsvn"), ...),
    "no_next_update": (("nextUpdate",), ...),
    "no_evaluation_number": (("tcbEvaluationDataNumber",), ...),
    "no_id": (("id",), ...),
}
for _name, (_path, _value) in IDENTITY_DEFECTS.items():
    _spoil = member("qe_identity", _path, _value)
    _spoil.__name__ = f"identity_with_{_name}"
    proves(checks.QE_IDENTITY_LAYOUT)(_spoil)


@proves(checks.TCB_INFO_ID, platforms=TDX)
def info_of_sgx(stage):
    stage.collateral.tcb_info = INTEL.collateral_draft(NOW, platform="sgx").tcb_info


@proves(checks.TCB_INFO_ID, platforms=SGX)
def info_of_tdx(stage):
    stage.collateral.tcb_info = INTEL.collateral_draft(NOW, platform="tdx").tcb_info


@proves(checks.TCB_INFO_ID, platforms=TDX)
def old_info_for_tdx(stage):
    """Version 2 has no id and is of SGX, whatever it says."""
    stage.collateral.tcb_info = INTEL.collateral_draft(NOW, platform="sgx", version=2).tcb_info


@proves(checks.TCB_INFO_ID)
def info_of_a_version_to_come(stage):
    stage.collateral.tcb_info["version"] = 4


@proves(checks.QE_IDENTITY_ID)
def identity_of_the_other_enclave(stage):
    stage.collateral.qe_identity["id"] = "QE" if stage.platform == "tdx" else "TD_QE"


@proves(checks.QE_IDENTITY_ID)
def identity_of_the_verifying_enclave(stage):
    stage.collateral.qe_identity["id"] = "QVE"


@proves(checks.QE_IDENTITY_ID)
def identity_of_a_version_to_come(stage):
    stage.collateral.qe_identity["version"] = 4


def dated(document, spec):
    for name, first, last in (("overdue", -31, -1), ("of_tomorrow", 1, 31)):

        def spoil(stage, first=first, last=last):
            members = getattr(stage.collateral, document)
            members["issueDate"] = (NOW + first * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
            members["nextUpdate"] = (NOW + last * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")

        spoil.__name__ = f"{document}_{name}"
        proves(spec)(spoil)


dated("tcb_info", checks.TCB_INFO_TIME)
dated("qe_identity", checks.QE_IDENTITY_TIME)


@proves(checks.TCB_INFO_FMSPC)
def info_of_another_family(stage):
    stage.collateral.tcb_info["fmspc"] = "00806F050001"


@proves(checks.TCB_INFO_PCEID)
def info_of_another_pce(stage):
    stage.collateral.tcb_info["pceId"] = "0001"


@proves(checks.TCB_STATUS, "dcap.tcb.status_unknown")
def level_of_an_unknown_status(stage):
    stage.collateral.tcb_info["tcbLevels"][-1]["tcbStatus"] = "MostlyFine"


@proves(checks.TCB_STATUS, "dcap.tcb.status_unknown")
def level_of_a_status_that_is_computed(stage):
    stage.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = "TDRelaunchAdvised"


@proves(checks.TCB_STATUS, "dcap.tcb.status_unknown")
def enclave_of_an_unknown_status(stage):
    stage.collateral.qe_identity["tcbLevels"][-1]["tcbStatus"] = "uptodate"


@proves(checks.TCB_STATUS, "dcap.tcb.status_unknown", platforms=TDX)
def module_of_an_unknown_status(stage):
    stage.collateral.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][-1]["tcbStatus"] = ""


# --- The quoting enclave


@proves(checks.QE_REPORT_SIGNATURE)
def report_signed_by_a_stranger(stage):
    stage.quote.pck_key = STRANGER


@proves(checks.QE_REPORT_SIGNATURE)
def report_of_another_machine(stage):
    stage.quote.pck_key = INTEL.machine("another").pck.key


@proves(checks.QE_REPORT_DATA)
def report_that_vouches_for_another_key(stage):
    stage.quote.qe_binding = hashlib.sha256(b"another key").digest() + bytes(32)


@proves(checks.QE_REPORT_DATA)
def report_that_vouches_without_its_data(stage):
    key = pki.raw_point(stage.quote.attestation_key)
    stage.quote.qe_binding = hashlib.sha256(key).digest() + bytes(32)


@proves(checks.QE_REPORT_DATA, "dcap.qe_report.data_tail")
def report_with_more_than_a_commitment(stage):
    key = pki.raw_point(stage.quote.attestation_key)
    digest = hashlib.sha256(key + stage.quote.qe_auth).digest()
    stage.quote.qe_binding = digest + bytes(31) + b"\x01"


def enclave(name, value):
    def spoil(stage):
        stage.quote.qe_report[name] = value

    return spoil


ENCLAVE_DEFECTS = {
    "signer": enclave("mr_signer", bytes(32)),
    "product": enclave("isv_prod_id", 9),
    "select_bits": enclave("misc_select", b"\x01\0\0\0"),
    "attributes": enclave("attributes", b"\x15" + bytes(7) + b"\xe7" + bytes(7)),
}
for _name, _spoil in ENCLAVE_DEFECTS.items():
    if _name == "attributes":
        # PROVISION_KEY, bit 4, is demanded and missing.
        _spoil = enclave("attributes", b"\x05" + bytes(7) + b"\xe7" + bytes(7))
    _spoil.__name__ = f"enclave_with_other_{_name}"
    proves(checks.QE_REPORT_IDENTITY)(_spoil)


@proves(checks.QE_REPORT_DEBUG)
def enclave_in_debug_mode(stage):
    """Even where the signed identity does not mind the bit."""
    attributes = bytearray(stage.quote.qe_report["attributes"])
    attributes[0] |= 0x02
    stage.quote.qe_report["attributes"] = bytes(attributes)
    stage.collateral.qe_identity["attributesMask"] = "F9FFFFFFFFFFFFFF0000000000000000"


# --- The TDX module


@proves(checks.TDX_MODULE_IDENTITY, platforms=TDX)
def module_that_nobody_identified(stage):
    identities = stage.collateral.tcb_info["tdxModuleIdentities"]
    stage.collateral.tcb_info["tdxModuleIdentities"] = [i for i in identities if i["id"] != "TDX_01"]


@proves(checks.TDX_MODULE_IDENTITY, platforms=TDX)
def module_identities_left_out(stage):
    del stage.collateral.tcb_info["tdxModuleIdentities"]


@proves(checks.TDX_MODULE_SIGNER, platforms=TDX)
def module_of_another_signer(stage):
    stage.quote_from(stage.machine, mr_signer_seam=b"\x01" * 48)


@proves(checks.TDX_MODULE_SIGNER, platforms=TDX)
def module_signed_as_the_base_one_is(stage):
    """The base entry's signer is not the one of a versioned module."""
    for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
        identity["mrsigner"] = "02" * 48


@proves(checks.TDX_MODULE_ATTRIBUTES, platforms=TDX)
def module_with_attributes(stage):
    stage.quote_from(stage.machine, seam_attributes=b"\x01" + bytes(7))


@proves(checks.TDX_MODULE_ATTRIBUTES, platforms=TDX)
def module_with_attributes_that_the_identity_allows(stage):
    for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
        identity["attributes"] = "01" + "00" * 7
    stage.quote_from(stage.machine, seam_attributes=b"\x01" + bytes(7))


@proves(checks.TDX_MODULE_ATTRIBUTES, platforms=TDX)
def module_without_attributes_that_the_identity_demands(stage):
    for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
        identity["attributes"] = "01" + "00" * 7


# --- Signature and binding


@proves(checks.QUOTE_SIGNATURE)
def body_changed_after_signing(stage):
    offset = 48 + (6 if stage.version == 5 else 0) + (136 if stage.platform == "tdx" else 64)
    stage.after_quote = lambda quote: quote[:offset] + bytes([quote[offset] ^ 1]) + quote[offset + 1 :]


@proves(checks.QUOTE_SIGNATURE)
def user_data_changed_after_signing(stage):
    stage.after_quote = lambda quote: quote[:28] + bytes([quote[28] ^ 1]) + quote[29:]


@proves(checks.QUOTE_SIGNATURE)
def signature_of_zeros(stage):
    start = 48 + (6 if stage.version == 5 else 0) + len(stage.quote.body.data) + 4
    patch(stage, start, bytes(64))


@proves(checks.QUOTE_SIGNATURE)
def signature_of_ones(stage):
    start = 48 + (6 if stage.version == 5 else 0) + len(stage.quote.body.data) + 4
    patch(stage, start, b"\xff" * 64)


@proves(checks.QUOTE_SIGNATURE, "dcap.quote.key_invalid")
def key_that_is_no_point(stage):
    start = 48 + (6 if stage.version == 5 else 0) + len(stage.quote.body.data) + 4
    key = b"\x01" * 64
    stage.quote.qe_binding = hashlib.sha256(key + stage.quote.qe_auth).digest() + bytes(32)
    patch(stage, start + 64, key)


@proves(checks.TDX_BINDING, "tdx.binding.mismatch", platforms=TDX)
@proves(checks.SGX_BINDING, "sgx.binding.mismatch", platforms=SGX)
def binding_of_another_session(stage):
    stage.quote.body["report_data"] = hashlib.sha512(b"another session").digest()


@proves(checks.TDX_BINDING, "tdx.binding.mismatch", platforms=TDX)
@proves(checks.SGX_BINDING, "sgx.binding.mismatch", platforms=SGX)
def binding_that_is_half_right(stage):
    stage.quote.body["report_data"] = stage.report_data[:63] + b"\0"


@proves(checks.TDX_BINDING, "tdx.binding.mismatch", platforms=TDX)
@proves(checks.SGX_BINDING, "sgx.binding.mismatch", platforms=SGX)
def binding_of_which_a_prefix_was_expected(stage):
    stage.report_data = stage.report_data[:32]


@pytest.mark.parametrize(
    ("defect", "platform", "version"),
    [
        pytest.param(defect, *kind, id=f"{defect.spec.id}-{defect.name}-{kind[0]}{kind[1]}")
        for defect in DEFECTS
        for kind in defect.kinds
    ],
)
def test_a_defect_is_refused_by_its_check_alone(defect, platform, version):
    result = spoilt(defect.spoil, platform, version)
    assert {check.id: check.code for check in result.ledger.failed()} == {defect.spec.id: defect.code}
    assert not result.authentic
    assert not result.bound
    for check in result.ledger.unmet():
        assert check.reason.isprintable()
        assert len(check.reason) < 300


def test_each_check_has_an_input_that_only_it_refuses():
    proven = {defect.spec for defect in DEFECTS}
    assert {spec.id for spec in checks.CHECKS if spec not in proven} == set()


def test_ids_are_unique_and_documented():
    assert len({spec.id for spec in checks.CHECKS}) == len(checks.CHECKS)
    for spec in checks.CHECKS:
        assert spec.title
        assert spec.source
    grouped = {
        *checks.LAYOUT_CHECKS,
        *checks.PCK_CHECKS,
        *checks.ENCLAVE_CHECKS,
        *checks.COLLATERAL_CHECKS,
        checks.QUOTE_SIGNATURE,
        checks.TDX_BINDING,
        checks.SGX_BINDING,
    }
    assert grouped == set(checks.CHECKS)


def test_a_curve_point_of_another_curve_is_no_key():
    """The attestation key's bytes are checked to lie on P-256, whatever they come from."""
    point = ec.derive_private_key(7, ec.SECP256K1()).public_key().public_numbers()
    raw = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")

    def spoil(stage):
        start = 48 + len(stage.quote.body.data) + 4
        stage.quote.qe_binding = hashlib.sha256(raw + stage.quote.qe_auth).digest() + bytes(32)
        patch(stage, start + 64, raw)

    assert spoilt(spoil).ledger[checks.QUOTE_SIGNATURE.id].code == "dcap.quote.key_invalid"
