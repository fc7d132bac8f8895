"""The simulated hardware against another verifier, and against what Intel's own certificates look like."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dcap_qvl
import pytest
from cryptography import x509

from assay.errors import SimulatorError
from assay.simulator.intel import STATE_FILE, Installation
from assay.simulator.recoveries import RECOVERIES
from support.simulator_oracle import opinion

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
REPORT_DATA = bytes(range(64))


@pytest.fixture(scope="module")
def intel():
    return Installation(b"\x01" * 32)


@pytest.mark.parametrize("ca", ["platform", "processor"])
@pytest.mark.parametrize("module_major", [0, 1, 3])
@pytest.mark.parametrize(("version", "td15"), [(4, False), (5, False), (5, True)])
def test_a_td_quote_is_genuine_to_another_verifier(intel, ca, module_major, version, td15):
    machine = intel.machine("a", ca=ca, module_major=module_major)
    quote = machine.trust_domain().quote(REPORT_DATA, version=version, td15=td15)
    assert opinion(quote, intel.collateral(NOW, platform="tdx", ca=ca), intel, NOW) == ("UpToDate", [])


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_an_enclave_quote_is_genuine_to_another_verifier(intel, ca):
    quote = intel.machine("a", ca=ca).enclave(mr_enclave=b"\x07" * 32).quote(REPORT_DATA)
    assert opinion(quote, intel.collateral(NOW, platform="sgx", ca=ca), intel, NOW) == ("UpToDate", [])


def test_a_platform_ages_without_changing(intel):
    machine = intel.machine("a", tcb="2025-05-14")
    quote = machine.trust_domain().quote(REPORT_DATA)
    before, after = datetime(2026, 2, 10, tzinfo=UTC), datetime(2026, 2, 11, tzinfo=UTC)
    assert opinion(quote, intel.collateral(before, platform="tdx"), intel, before) == ("UpToDate", [])
    status, advisories = opinion(quote, intel.collateral(after, platform="tdx"), intel, after)
    assert status == "OutOfDate"
    assert advisories == list(RECOVERIES[-1].fixed)


def test_a_td_launched_before_a_module_update_is_told_to_relaunch(intel):
    quote = intel.machine("a", launched_under="2025-05-14").trust_domain().quote(REPORT_DATA, version=5)
    assert opinion(quote, intel.collateral(NOW, platform="tdx"), intel, NOW)[0] == "TDRelaunchAdvised"


def test_debug_mode_shows(intel):
    quote = intel.machine("a", debug=True).trust_domain().quote(REPORT_DATA)
    with pytest.raises(ValueError, match="Debug mode"):
        opinion(quote, intel.collateral(NOW, platform="tdx"), intel, NOW)


def test_another_root_is_another_intel(intel):
    other = Installation(b"\x02" * 32)
    quote = intel.machine("a").trust_domain().quote(REPORT_DATA)
    with pytest.raises(ValueError, match="Verification failed"):
        opinion(quote, intel.collateral(NOW, platform="tdx"), other, NOW)
    assert intel.anchor_name != other.anchor_name
    assert intel.machine("a").ppid != other.machine("a").ppid


def test_the_root_is_not_the_vendors_but_reads_like_it(intel):
    root = x509.load_der_x509_certificate(intel.root_der)
    assert root.subject.rfc4514_string() == (
        "C=US,ST=CA,L=Santa Clara,O=Intel Corporation,CN=Intel SGX Root CA"
    )
    vendor = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
    assert hashlib.sha256(intel.root_der).hexdigest() != vendor


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_the_pck_extension_holds_the_fuses(intel, ca):
    machine = intel.machine("a", ca=ca, fmspc=bytes.fromhex("b0c06f000000"))
    found = dcap_qvl.parse_pck_extension_from_pem(machine.pck.pem())
    assert found.fmspc == bytes.fromhex("b0c06f000000")
    assert found.cpu_svn == bytes(machine.tcb.sgx)
    assert found.pce_svn == machine.tcb.pce_svn
    assert found.ppid == machine.ppid


def test_a_machine_is_its_seed(intel):
    one, same, other = intel.machine("a"), intel.machine("a"), intel.machine("b")
    assert one.trust_domain().quote(REPORT_DATA) == same.trust_domain().quote(REPORT_DATA)
    assert one.pck.der == same.pck.der
    assert one.ppid != other.ppid
    assert one.pck.certificate.serial_number != other.pck.certificate.serial_number


def test_extending_a_register_follows_the_hardware_rule(intel):
    td = intel.machine("a").trust_domain()
    td.extend(3, b"\x05" * 48)
    td.extend(3, b"\x06" * 48)
    first = hashlib.sha384(bytes(48) + b"\x05" * 48).digest()
    assert td.draft(REPORT_DATA).body["rtmr3"] == hashlib.sha384(first + b"\x06" * 48).digest()
    assert td.draft(REPORT_DATA).body["rtmr2"] == bytes(48)


def test_a_quote_taken_before_an_extend_does_not_change(intel):
    td = intel.machine("a").trust_domain()
    draft = td.draft(REPORT_DATA)
    td.extend(3, b"\x05" * 48)
    assert draft.body["rtmr3"] == bytes(48)


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (lambda i: i.machine("a").trust_domain().extend(4, bytes(48)), "simulator.extend.invalid"),
        (lambda i: i.machine("a").trust_domain().extend(3, bytes(32)), "simulator.extend.invalid"),
        (lambda i: i.machine("a").trust_domain(mr_td=bytes(47)), "simulator.field.size"),
        (lambda i: i.machine("a").trust_domain(mrtd=bytes(48)), "simulator.field.unknown"),
        (lambda i: i.machine("a").trust_domain().quote(REPORT_DATA, version=3), "simulator.quote.version"),
        (
            lambda i: i.machine("a").trust_domain().quote(REPORT_DATA, version=4, td15=True),
            "simulator.quote.version",
        ),
        (lambda i: i.machine("a").enclave().quote(REPORT_DATA, version=6), "simulator.quote.version"),
        (lambda i: i.machine("a", tcb="2025-01-01"), "simulator.recovery.unknown"),
        (
            lambda i: i.machine("a", tcb="2023-08-09", module_major=3).trust_domain(),
            "simulator.module.unknown",
        ),
        (
            lambda i: i.collateral(datetime(2020, 1, 1, tzinfo=UTC), platform="tdx"),
            "simulator.time.too_early",
        ),
    ],
)
def test_what_hardware_cannot_do_is_refused(intel, action, code):
    with pytest.raises(SimulatorError) as caught:
        action(intel)
    assert caught.value.code == code


def test_collateral_is_the_same_all_day(intel):
    midnight = NOW.replace(hour=0)
    assert intel.collateral(midnight, platform="tdx") == intel.collateral(
        midnight + timedelta(hours=23, minutes=59), platform="tdx"
    )
    assert intel.collateral(midnight, platform="tdx") != intel.collateral(
        midnight + timedelta(days=1), platform="tdx"
    )


def test_an_installation_keeps_its_root(tmp_path):
    made = Installation.create(tmp_path / "state")
    assert Installation.open(tmp_path / "state") == made
    assert Installation.create(tmp_path / "state").root_der == made.root_der
    assert (tmp_path / "state" / STATE_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in (tmp_path / "state").iterdir()] == [STATE_FILE]


def test_many_creators_at_once_make_one_root(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Installation.create(tmp_path).secret, range(32)))
    assert len(set(found)) == 1


def test_the_secret_does_not_show(tmp_path):
    made = Installation.create(tmp_path)
    shown = repr(made) + repr(made.machine("a"))
    assert made.secret.hex() not in shown
    assert repr(made.secret) not in shown


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.unlink(), "simulator.installation.missing"),
        (lambda path: path.chmod(0o640), "simulator.installation.exposed"),
        (lambda path: path.write_bytes(b"short"), "simulator.installation.malformed"),
        (lambda path: path.write_bytes(bytes(33)), "simulator.installation.malformed"),
        (
            lambda path: (path.rename(path.with_suffix(".x")), path.symlink_to(path.with_suffix(".x"))),
            "missing",
        ),
        (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "exposed"),
    ],
)
def test_a_spoilt_secret_is_refused(tmp_path, spoil, code):
    Installation.create(tmp_path)
    spoil(tmp_path / STATE_FILE)
    with pytest.raises(SimulatorError) as caught:
        Installation.open(tmp_path)
    assert caught.value.code.endswith(code)
