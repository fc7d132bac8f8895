"""The simulated AMD: its keys last, its attacks are refused as they say, its formats are the genuine ones."""

from __future__ import annotations

import stat
import warnings
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import load_der_x509_certificate, load_der_x509_crl

from assay.errors import SimulatorError
from assay.evidence.roots import Roots
from assay.evidence.snp import Product
from assay.simulator.amd.attacks import ATTACKS, stage
from assay.simulator.amd.installation import RSA_BITS, SimulatedAmd
from support.snp_scenes import AMD, NOW, REPORT_DATA, judge, scene

PSS = padding.PSS(padding.MGF1(SHA384()), 48)


@pytest.mark.parametrize(
    ("name", "kind"), [(attack.name, kind) for attack in ATTACKS.values() for kind in attack.kinds]
)
def test_an_attack_is_refused_with_its_code(name, kind):
    for product, version in ((Product.GENOA, 3), (Product.TURIN, 5)):
        stood = scene(product, version, kind)
        result = judge(stage(name, stood))
        assert [check.code for check in result.ledger.failed()] == [ATTACKS[name].code]
        assert not result.authentic or name == "replayed"
        assert not result.bound


def test_attacks_have_names_and_sentences():
    for name, attack in ATTACKS.items():
        assert attack.name == name
        assert attack.description.endswith(".")


def test_attacks_that_cannot_be_made():
    with pytest.raises(SimulatorError) as refused:
        stage("nothing", scene())
    assert refused.value.code == "simulator.attack.unknown"
    for name, given in (("another-chip", scene(kind="vlek")), ("another-product", scene(version=2))):
        with pytest.raises(SimulatorError) as refused:
            stage(name, given)
        assert refused.value.code == "simulator.attack.platform"


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
@pytest.mark.parametrize("product", list(Product))
def test_other_software_reads_what_is_issued(product, kind):
    """Certificates and CRL are X.509 to a library that is not ours, each under the key above it."""
    given = scene(product, kind=kind).finish().endorsements
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # serial 0
        vek, authority, root = map(load_der_x509_certificate, (given.vek, given.authority, given.root))
        assert vek.serial_number == 0
    crl = load_der_x509_crl(given.crl)
    for child, key in ((vek, authority), (authority, root), (root, root)):
        assert child.issuer == key.subject
        key.public_key().verify(child.signature, child.tbs_certificate_bytes, PSS, SHA384())
    root.public_key().verify(crl.signature, crl.tbs_certlist_bytes, PSS, SHA384())
    assert crl.issuer == root.subject


def test_the_same_installation_issues_the_same_bytes():
    first, second = scene().finish(), scene().finish()
    assert first.endorsements == second.endorsements
    assert first.report == second.report


def test_chips_and_tcb_versions_have_keys_of_their_own():
    chip = AMD.chip("one", Product.GENOA)
    others = [
        AMD.chip("two", Product.GENOA),
        AMD.chip("one", Product.GENOA, tcb=bytes(8)),
        replace(AMD, secret=b"\x09" * 32).chip("one", Product.GENOA),
    ]
    numbers = [one.key("vcek").private_numbers().private_value for one in (chip, *others)]
    numbers.append(chip.key("vlek").private_numbers().private_value)
    assert len(set(numbers)) == 5
    assert others[0].hwid != chip.hwid == others[1].hwid
    assert AMD.chip(b"one", Product.TURIN).hwid == AMD.chip("6f6e65", Product.TURIN).hwid


def test_keys_are_kept_for_the_user_alone(tmp_path):
    secret = b"\x0a" * 32
    first = SimulatedAmd(secret, tmp_path, bits=2048)
    root = first.root_der(Product.MILAN)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SimulatedAmd(secret, tmp_path, bits=2048).root_der(Product.MILAN) == root
    assert first.root_der(Product.MILAN) == root
    for spoil in (lambda: file.chmod(0o644), lambda: file.write_bytes(b"junk")):
        file.chmod(0o600)
        spoil()
        with pytest.raises(SimulatorError) as refused:
            SimulatedAmd(secret, tmp_path, bits=2048).root_der(Product.MILAN)
        assert refused.value.code == "simulator.amd.key"


def test_two_processes_that_begin_at_once_get_one_key(tmp_path):
    """The one that comes second finds the key that the first one linked, and keeps none of its own."""
    late = SimulatedAmd(b"\x0b" * 32, tmp_path, bits=2048)
    target = tmp_path / "simulated-amd-ark-Milan.key"
    early = SimulatedAmd(b"\x0b" * 32, tmp_path, bits=2048).rsa_key("ark-Milan")
    late._store(target)
    assert late.rsa_key("ark-Milan").private_numbers() == early.private_numbers()
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.slow
def test_keys_have_the_genuine_size():
    amd = SimulatedAmd(b"\x0c" * 32)
    given = amd.endorsements(amd.chip("a chip", Product.MILAN), NOW)
    assert RSA_BITS == amd.root_key(Product.MILAN).key_size == 4096
    assert load_der_x509_certificate(given.authority).public_key().key_size == 4096


def test_simulated_evidence_is_simulated_by_its_root():
    evidence = scene().finish()
    assert evidence.report_data == REPORT_DATA
    assert judge(evidence).simulated
    assert not judge(evidence, roots=Roots.vendor()).authentic
