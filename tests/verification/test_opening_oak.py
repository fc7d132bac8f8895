"""Project Oak's evidence: the report in it is opened, and all else is named."""

from __future__ import annotations

import base64
import hashlib

import pytest

from assay import Expected, Policy, verify
from assay.errors import EvidenceError
from assay.evidence.google_vm.protobuf import encode_bytes, encode_varint
from assay.evidence.snp import Product
from assay.simulator.amd.scene import SnpScene
from assay.verification.opening import open_bundle, open_evidence
from support import dcap_scenes, vectors
from support.snp_scenes import AMD, NOW, roots_of

KEY = bytes(range(102))
REPORT_DATA = hashlib.sha256(KEY).digest().ljust(64, b"\0")
SNP = SnpScene(AMD, Product.GENOA, 3, "vcek", NOW, REPORT_DATA).finish()
QUOTE = dcap_scenes.scene().finish().quote
POLICY = Policy.load(b'version = 1\nplatforms = ["snp", "tdx"]\n', name="t")
LAYERS = encode_bytes(2, encode_bytes(1, b"a certificate")) * 2
LEFT = ("application_keys", "event_log", "layers", "root_layer.eca_public_key")


def number(field: int, value: int) -> bytes:
    return encode_varint(field << 3) + encode_varint(value)


def root(platform: int, report: bytes, *more: bytes) -> bytes:
    return encode_bytes(1, number(1, platform) + encode_bytes(2, report) + b"".join(more))


def evidence(platform: int = 1, report: bytes = SNP.report) -> bytes:
    parts = LAYERS + encode_bytes(3, b"keys") + encode_bytes(4, b"log")
    return root(platform, report, encode_bytes(3, KEY)) + parts


def code(data: bytes) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_bundle(data)
    return refused.value.code


def test_the_report_in_it_binds_the_key_that_its_layers_begin_with():
    data = evidence()
    for written in (data, data.hex().encode(), base64.b64encode(data)):
        found = open_evidence(written)
        assert (found.platform, found.evidence, found.unverified) == ("snp", SNP.report, LEFT)
    assert open_evidence(data).form == "1184 bytes, from evidence of Project Oak"
    result = verify(
        open_evidence(data).evidence,
        policy=POLICY,
        binding=Expected(REPORT_DATA),
        roots=roots_of(SNP),
        now=NOW,
        endorsements=SNP.endorsements,
    )
    assert result.evidence.bound, result.evidence.ledger.unmet()


def test_a_quote_in_it_may_have_zeros_behind_it():
    stage = dcap_scenes.scene().finish()
    more = encode_bytes(5, b"log") + encode_bytes(7, b"a certificate")
    found = open_evidence(root(2, stage.quote.ljust(8000, b"\0")) + more)
    left = ("signed_user_data_certificate", "transparent_event_log")
    assert (found.platform, found.unverified) == ("tdx", left)
    assert dcap_scenes.judge(stage).bound
    result = verify(
        found.evidence,
        policy=POLICY,
        binding=Expected(dcap_scenes.REPORT_DATA),
        roots=dcap_scenes.Roots.vendor().with_anchor("simulated", dcap_scenes.INTEL.root_der),
        now=dcap_scenes.NOW,
        endorsements=stage.collateral,
    )
    assert result.evidence.bound, result.evidence.ledger.unmet()


@pytest.mark.parametrize(
    ("platform", "report"),
    [(1, QUOTE), (2, SNP.report), (4, SNP.report), (1, bytes(1184)), (2, bytes(8000))],
)
def test_a_report_of_another_platform_than_is_named_is_refused(platform, report):
    assert code(evidence(platform, report)) == "verification.evidence.unrecognised"


def test_what_no_hardware_made_is_called_so():
    assert code(evidence(3)) == "verification.evidence.unsupported"
    assert code(evidence(3, bytes(1024))) == "verification.evidence.unsupported"


OTHER_MESSAGES = {
    "a field that was taken back": evidence() + encode_bytes(6, b"?"),
    "an unknown field": evidence() + encode_bytes(8, b"?"),
    "a field of another kind": evidence() + number(5, 1),
    "two root layers": evidence() + root(1, SNP.report),
    "no root layer": LAYERS,
    "no report": encode_bytes(1, number(1, 1) + encode_bytes(3, KEY)),
    "a report twice": root(1, SNP.report, encode_bytes(2, SNP.report)),
    "an unknown field of the root layer": root(1, SNP.report, encode_bytes(4, b"?")),
    "a long number": encode_bytes(1, b"\x08\x81\x00" + encode_bytes(2, SNP.report)),
    "no platform": encode_bytes(1, encode_bytes(2, SNP.report)),
    "a byte behind it": evidence() + b"\x00",
    "an end inside a field": evidence()[:-1],
    "a short report": root(3, b"\xff" * 1023),
}


@pytest.mark.parametrize("data", OTHER_MESSAGES.values(), ids=OTHER_MESSAGES.keys())
def test_another_message_is_no_evidence(data):
    assert code(data) == "verification.evidence.unrecognised"


@pytest.mark.parametrize("entry", vectors.entries(kind="oak-evidence"), ids=lambda entry: entry["file"])
def test_real_evidence(entry):
    data = vectors.read(entry["file"])
    if entry["origin"] == "simulated":
        assert code(data) == "verification.evidence.unsupported"
        return
    found = open_evidence(data)
    assert (found.platform, found.evidence in data) == (entry["family"], True)
    if found.platform == "tdx":
        assert found.unverified == ("event_log",)
        assert found.evidence.rstrip(b"\0") == vectors.read("tdx/project-oak/tdx_oc.quote.bin").rstrip(b"\0")
    else:
        assert found.unverified == LEFT
        assert found.evidence == vectors.read(entry["file"].replace("_evidence.binarypb", ".report.bin"))
        key = data[data.index(b"\x1a\x66") + 2 :][:102]
        assert found.evidence[80:144] == hashlib.sha256(key).digest().ljust(64, b"\0")
