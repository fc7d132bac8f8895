"""Several pieces of evidence from their bytes: verified, appraised, and judged as one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.appraisal import Context, Policy, Verdict
from assay.appraisal.pieces import Shared
from assay.appraisal.rules import composite as checks
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.nvidia.composite import GPU_NONCE
from assay.evidence.roots import Roots
from assay.evidence.verification import Unchecked, fingerprint
from assay.simulator.nvidia import Scene as GpuScene
from assay.simulator.scene import Scene as TdxScene
from assay.simulator.tokens import ServiceKeys, TokenServices
from assay.verification.composite import Part, verify_together
from assay.verification.materials import Materials
from support.appraisal_evidence import NOW
from support.composite_scenes import CARRIED, SESSION, unmet
from support.dcap_scenes import INTEL
from support.nvidia_scenes import NOW as AT
from support.nvidia_scenes import NVIDIA, endorsements
from support.nvidia_scenes import roots as gpu_roots

NONCE = bytes(range(1, 33))
PADDED = NONCE + bytes(32)
OTHER = b"\x5a" * 32
WORDS = (
    b'version = 1\nplatforms = ["tdx", "nvidia-gpu"]\nsimulated = "only"\naccept = ["simulated"]\n'
    b'together = ["tdx", "nvidia-gpu"]\n'
)
LOCAL = Policy.load(WORDS, name="local")
OWN = Context(
    installation_roots=frozenset(
        {fingerprint(INTEL.root_der), *(fingerprint(der) for _, der, _ in NVIDIA.anchors)}
    )
)


def trusted() -> Roots:
    return gpu_roots().with_anchor("simulated Intel", INTEL.root_der)


def quoted(report_data: bytes = PADDED) -> Part:
    made = TdxScene(INTEL, "tdx", 4, AT, report_data).finish()
    return Part("cpu", made.quote, "tdx", made.collateral)


def answered(nonce: bytes = NONCE) -> Part:
    made = GpuScene(NVIDIA, AT, nonce).finish()
    return Part("gpu", made.evidence, endorsements=endorsements(made))


def together(*parts, tie=Shared(NONCE), by=LOCAL):  # noqa: B008 - a constant
    return verify_together(parts, policy=by, tie=tie, roots=trusted(), now=AT, context=OWN)


def test_simulated_cpu_and_gpu_of_one_session():
    result = together(quoted(), answered())
    assert result.accepted, [unmet(result), [p.result.ledger.unmet() for p in result.pieces]]
    assert result.simulated
    carried = together(quoted(SESSION.report_data()), answered(SESSION.carried("gpu")), tie=CARRIED)
    assert carried.accepted


def test_attacks_on_simulated_cpu_and_gpu():
    foreign = together(quoted(), answered(OTHER))
    assert foreign.verdict is Verdict.REFUSED
    assert foreign.ledger[checks.APPRAISED.id].code == "composite.appraised.refused"
    foreign = together(quoted(), answered(OTHER), tie=Unchecked("a test"))
    assert foreign.verdict is Verdict.REFUSED
    assert foreign.ledger[GPU_NONCE.id].code == "nvidia.composite.nonce.mismatch"
    for parts in ([quoted()], [answered()], [quoted(), quoted()], [quoted(), answered(), answered()], []):
        assert together(*parts).verdict is Verdict.REFUSED
    assert together(*[quoted()] * 40).ledger[checks.COUNT.id].code == "composite.parts.number"


def test_a_piece_is_compared_with_reference_values_of_its_own_instead_of_those_for_all():
    by = Policy.load(WORDS + b'[tdx]\nmr_td = "reference"\n', name="t")
    mr_td = together(quoted(), answered()).pieces[0].result.evidence.claims.mr_td
    right, wrong = {"mr_td": frozenset({mr_td})}, {"mr_td": frozenset({bytes(48)})}

    def accepted(of_piece, for_all):
        parts = (replace(quoted(), references=of_piece), answered())
        return verify_together(
            parts, policy=by, tie=Shared(NONCE), roots=trusted(), now=AT, context=OWN, references=for_all
        ).accepted

    assert accepted(None, right)
    assert accepted(right, wrong)
    assert accepted(right, None)
    assert not accepted(wrong, right)
    assert not accepted({}, right)
    assert not accepted(None, None)


@pytest.mark.parametrize(("given_parts", "looked_at"), [(15, 15), (16, 16), (17, 17), (18, 17), (40, 17)])
def test_one_piece_too_many_is_enough_to_know(given_parts, looked_at):
    result = together(*[Part(str(at), bytes([at])) for at in range(given_parts)])
    assert [piece.name for piece in result.pieces] == [str(at) for at in range(looked_at)]
    expected = Outcome.PASSED if given_parts <= 16 else Outcome.FAILED
    assert result.ledger[checks.COUNT.id].outcome is expected


def test_a_piece_is_read_as_what_its_caller_says():
    names = [
        piece.result.platform for piece in together(Part("a", b"?", "nvidia-gpu"), Part("b", b"?")).pieces
    ]
    assert names == ["nvidia-gpu", "tdx"]


def test_verified_facts_are_shared_with_the_caller():
    facts = FactCache()
    for _ in range(2):
        verify_together(
            [quoted()], policy=LOCAL, tie=Shared(NONCE), roots=trusted(), now=AT, context=OWN, facts=facts
        )
        assert len(facts.chains) == 1


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_bytes_that_are_nothing_are_refused_not_raised(blobs):
    parts = [Part(str(at), blob) for at, blob in enumerate(blobs)]
    assert together(*parts).verdict is Verdict.REFUSED


def test_a_sender_cannot_vouch_for_a_token_with_keys_of_its_own():
    services = TokenServices(ServiceKeys(b"\x66" * 32, None, 2048))
    token = services.confidential_space(NOW, nonces=["n" * 43]).sign()
    words = "accept = ['published-keys']"
    by = Policy.load(f"version = 1\nplatforms = ['confidential-space']\n{words}".encode(), name="test")
    keys = {"keys.json": services.key_set("confidential-space")}
    found = [
        verify_together(
            [part], policy=by, tie=Shared(b"n" * 43), roots=Roots.vendor(), now=NOW, materials=own
        )
        for part, own in (
            (Part("token", token), Materials.of(keys)),
            (Part("token", token, beside=keys), None),
            (Part("token", token, beside=keys), Materials({})),
            (Part("token", token, beside=keys | {"x": b"x"}), Materials.of(keys)),
        )
    ]
    assert [result.accepted for result in found] == [True, False, False, True]
    for refused in found[1:3]:
        assert not refused.pieces[0].result.evidence.authentic
