"""The channel over Evidence of simulated hardware, judged by the project's one Verifier."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import pytest

from assay.channel import runtime
from assay.errors import GateError
from assay.evidence.dcap import verify_quote
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.guest.quoting import Quote
from assay.simulator.intel import Installation
from assay.workload.bundle import BundleLimits
from assay.workload.snapshot import Snapshot
from support.guest_process import Collected, GuestProcess

NOW = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)


class Hardware:
    """A quoting device on simulated hardware, and the gate of its owner."""

    def __init__(self, installation: Installation, config) -> None:
        self.installation = installation
        self.config = config
        self.domain = installation.machine("guest").trust_domain(
            mr_td=b"a" * 48, mr_config_id=config.digest()
        )
        self.generation = 0
        self.workload_wants: bytes | None = None

    def quote(self, inblob: bytes) -> Quote:
        self.generation += 1
        report_data = self.workload_wants or inblob
        return Quote(self.domain.quote(report_data), b"", self.generation, "assay_simulator")

    def extend(self, index: int, digest: bytes) -> None:
        self.domain.extend(index, digest)

    def appraise(self, offered, binding) -> None:
        result = verify_quote(
            offered.evidence,
            platform="tdx",
            collateral=self.installation.collateral(NOW, platform="tdx"),
            roots=Roots.vendor().with_anchor(self.installation.anchor_name, self.installation.root_der),
            now=NOW,
            binding=Expected(binding.report_data()),
            facts=FactCache(max_entries=64),
        )
        unmet = result.ledger.failed()
        if unmet:
            raise GateError(unmet[0].code, unmet[0].reason)
        if result.claims.mr_config_id != self.config.digest():
            raise GateError("test.config.mismatch", "Launched with another configuration.")
        if result.claims.rtmrs[3] != runtime.replay(offered.history):
            raise GateError("test.register.mismatch", "The history is not that of the register.")


@pytest.fixture
def guest():
    with GuestProcess() as started:
        hardware = Hardware(Installation(bytes(32)), started.config)
        started.device.quote = hardware.quote
        started.device.extend = hardware.extend
        started.hardware = hardware
        yield started


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (root / "a").write_bytes(b"1")
    return root


def test_both_appraisals_and_an_execution(guest, files):
    appraise = guest.hardware.appraise
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = guest.manifest(["cat", "a"], snapshot.listing.digest())
        with guest.open(manifest, appraise=appraise) as session:
            session.send_bundle(manifest.encode(), snapshot.stream(), snapshot.size())
            session.start_evidence(secrets.token_bytes(32), appraise)
            out = Collected()
            assert session.run({}, on_output=out, stdin=None, control=None).code == 0
            assert out.stdout == b"1"


def test_a_quote_that_a_workload_had_made_is_bound_to_nothing_of_ours(guest):
    guest.hardware.workload_wants = b"chosen by a workload".ljust(64, b"\0")
    with pytest.raises(GateError) as found:
        guest.open(guest.manifest(["true"], b"b" * 32), appraise=guest.hardware.appraise)
    assert "binding" in found.value.code or "report_data" in found.value.code


def test_what_a_workload_extends_on_its_own_shows(guest, files):
    """It has no device; if it had one, the history would not replay any more."""
    guest.hardware.extend(3, b"x" * 48)
    with pytest.raises(GateError) as found:
        guest.open(guest.manifest(["true"], b"b" * 32), appraise=guest.hardware.appraise)
    assert found.value.code == "test.register.mismatch"
