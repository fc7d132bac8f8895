"""What each kind of machine commits to, what each carrier must hold, and what a whole says of itself."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.appraisal.composite import appraise_together
from assay.appraisal.pieces import DEVICES, MACHINES, TOKENS, TPMS, Carried, Held, Shared, expected
from assay.appraisal.platforms import platform_of
from assay.appraisal.rules import composite as checks
from assay.appraisal.vocabulary import PLATFORMS
from assay.errors import EvidenceError
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Expected, Unchecked
from support import appraisal_nitro as nitro
from support.appraisal_evidence import NOW, TDX
from support.appraisal_snp import SNP
from support.appraisal_tokens import DEVICE, MAA, NRAS
from support.appraisal_vtpm import AZURE_SNP, AZURE_TDX, GOOGLE_SNP, GOOGLE_TDX
from support.composite_scenes import (
    CARRIED,
    SIMULATED,
    Made,
    Whole,
    bare_tpm,
    demanding,
    gpus,
    machine,
    policy,
    snp,
    vtpm,
)

NONCE = bytes(range(1, 33))
PADDED = NONCE + bytes(32)
HASH = CARRIED.report_data


def judged(made: Made, tie: Any, *others: Made) -> dict[str, tuple[str, str]]:
    """Return outcome and code of each check of a machine with what stands beside it."""
    found = Whole([made, *others], tie=tie).judge()
    return {check.id: (check.outcome.value, check.code) for check in found.ledger}


def runtime(data: bytes | None, claims: Any, *, bound: bool = True) -> Any:
    return replace(claims, runtime=replace(claims.runtime, user_data=data), user_data_bound=bound)


def quoting(claims: Any, tie: Any) -> Any:
    """Return Azure's Claims with a quote that answered this session."""
    return replace(claims, tpm=replace(claims.tpm, extra_data=expected(tie, "azure-snp", None).value))


HOLDING: dict[str, tuple[str, Any]] = {
    "tdx": ("tdx", lambda data: replace(TDX, report_data=data)),
    "snp": ("snp", lambda data: replace(SNP, report_data=data)),
    "nitro, nonce": (
        "nitro",
        lambda data: replace(nitro.CLAIMS, carrier="nonce", nonce=data, user_data=b"u"),
    ),
    "nitro, public key": (
        "nitro",
        lambda data: replace(nitro.CLAIMS, carrier="public_key", public_key=data, user_data=b"u"),
    ),
    "nitro, user data": ("nitro", lambda data: replace(nitro.CLAIMS, user_data=data, nonce=b"n")),
    "nitro-tpm": ("nitro-tpm", lambda data: replace(nitro.CLAIMS, user_data=data)),
    "gcp-tdx": ("gcp-tdx", lambda data: replace(GOOGLE_TDX, td=replace(TDX, report_data=data))),
    "gcp-snp": ("gcp-snp", lambda data: replace(GOOGLE_SNP, snp=replace(SNP, report_data=data))),
    "azure-snp": ("azure-snp", lambda data: runtime(data, AZURE_SNP)),
    "azure-tdx": ("azure-tdx", lambda data: runtime(data, AZURE_TDX)),
}


@pytest.mark.parametrize("name", HOLDING)
@pytest.mark.parametrize(
    ("tie", "fitting"),
    [
        (CARRIED, (HASH, CARRIED.digest("tpm") + bytes(32))),
        (Shared(NONCE), (NONCE, PADDED)),
        (Held(PADDED), (PADDED,)),
    ],
    ids=["carried", "shared", "held"],
)
def test_a_machine_commits_to_this_session_or_to_another(name, tie, fitting):
    platform, holding = HOLDING[name]
    for data in (HASH, CARRIED.digest("tpm") + bytes(32), CARRIED.digest("gpu") + bytes(32), NONCE, PADDED):
        claims = quoting(holding(data), tie) if platform.startswith("azure") else holding(data)
        session = judged(Made(platform, claims), tie)[checks.SESSION.id]
        wanted = ("passed", "") if data in fitting else ("failed", "composite.session.other")
        assert session == wanted, data.hex()


@pytest.mark.parametrize("claims", [AZURE_SNP, AZURE_TDX], ids=["snp", "tdx"])
def test_user_data_that_the_hardware_does_not_cover_commit_to_nothing(claims):
    platform = "azure-snp" if claims is AZURE_SNP else "azure-tdx"
    open_data = runtime(b"x" * 64, quoting(claims, CARRIED), bound=False)
    assert judged(Made(platform, open_data), CARRIED)[checks.SESSION.id] == ("passed", "")
    bound = runtime(b"x" * 64, quoting(claims, CARRIED))
    assert judged(Made(platform, bound), CARRIED)[checks.SESSION.id][1] == "composite.session.other"


@pytest.mark.parametrize("claims", [AZURE_SNP, AZURE_TDX], ids=["snp", "tdx"])
@pytest.mark.parametrize("tie", [CARRIED, Shared(NONCE), Held(PADDED)], ids=["carried", "shared", "held"])
def test_a_quote_that_answered_another_session_commits_to_that(claims, tie):
    """composite.session.other: the quote was compared, with something else than what ties these pieces."""
    platform = "azure-snp" if claims is AZURE_SNP else "azure-tdx"
    here, elsewhere = (runtime(None, quoting(claims, each)) for each in (tie, Shared(b"elsewhere")))
    assert judged(Made(platform, here), tie)[checks.SESSION.id] == ("passed", "")
    found = judged(Made(platform, elsewhere), tie)[checks.SESSION.id]
    assert found == ("failed", "composite.session.other")
    assert judged(Made(platform, elsewhere, signature=Outcome.FAILED), tie)[checks.SESSION.id][0] == "passed"


def test_which_platforms_speak_for_what():
    groups = (MACHINES, TOKENS, DEVICES, TPMS)
    assert set().union(*groups) == set(PLATFORMS)
    assert sum(map(len, groups)) == len(PLATFORMS)
    assert frozenset({"confidential-space", "maa", "trust-authority"}) == TOKENS
    assert frozenset({"nvidia-gpu", "nras"}) == DEVICES
    assert frozenset({"gcp-vtpm", "tpm"}) == TPMS


def test_what_a_carrier_holds_is_the_hash_of_its_name_and_the_encoding():
    tie = Carried(b"encoding")
    assert tie.report_data == hashlib.sha512(b"encoding").digest()
    for name in ("tpm", "gpu", "eat_nonce"):
        sealed = struct.pack(">I", len(name)) + name.encode() + b"encoding"
        assert tie.digest(name) == hashlib.sha256(sealed).digest()


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_what_each_platform_must_carry(platform):
    quoted = TPMS | {"azure-snp", "azure-tdx", "gcp-tdx", "gcp-snp"}
    if platform in DEVICES:
        wanted = CARRIED.digest("gpu")
    elif platform in TOKENS:
        wanted = base64.urlsafe_b64encode(CARRIED.digest("eat_nonce")).rstrip(b"=")
    else:
        wanted = CARRIED.digest("tpm") if platform in quoted else HASH
    assert expected(CARRIED, platform, 64) == Expected(wanted)
    assert expected(Shared(NONCE), platform, 64) == Expected(PADDED)
    assert expected(Shared(NONCE), platform, None) == Expected(NONCE)
    assert expected(Held(PADDED), platform, 64) == Expected(PADDED if platform in MACHINES else NONCE)
    open_tie = Unchecked("a test")
    assert expected(open_tie, platform, 64) is open_tie
    data = bytes(range(64))
    held = expected(Held(data), platform, 64)
    if platform in MACHINES:
        assert held == Expected(data)
    else:
        assert held == Unchecked("the report data alone do not say what it carries")


@pytest.mark.parametrize(("count", "code"), [(0, "number"), (1, ""), (16, ""), (17, "number")])
def test_how_many_pieces_there_may_be(count, code):
    pieces = [machine(), *(vtpm(key=at, instance=at) for at in range(count - 1))][:count]
    found = Whole(pieces).judge().ledger[checks.COUNT.id]
    assert found.code == (f"composite.parts.{code}" if code else "")


def test_devices_are_the_same_by_kind_and_name():
    def distinct(*pieces: Made) -> str:
        return Whole(list(pieces)).judge().ledger[checks.DISTINCT.id].code

    one, other = (
        Made("nras", replace(NRAS, devices=(replace(DEVICE, ueid=ueid),)), digest=ueid.encode() * 16)
        for ueid in ("01", "02")
    )
    assert distinct(machine(), gpus(device="01"), one) == ""
    assert distinct(machine(), one, other) == ""
    same = replace(one, digest=b"x" * 32)
    assert distinct(machine(), one, same) == "composite.distinct.device"
    refused = replace(same, signature=Outcome.FAILED)
    assert distinct(machine(), one, refused) == ""


def test_several_pieces_of_one_platform_have_to_be_demanded():
    pieces = [machine(), gpus(digest=b"1" * 32), gpus(device="02", digest=b"2" * 32)]
    found = Whole(pieces).judge().ledger[checks.TOGETHER.id]
    assert found.code == "composite.together.repeated"
    assert found.reason == "There are several pieces of nvidia-gpu, and the policy test does not say so."
    by = demanding("tdx", "nvidia-gpu", "nvidia-gpu")
    assert Whole(pieces, by).judge().ledger[checks.TOGETHER.id].code == ""
    assert Whole(pieces, by.tighten(by)).judge().ledger[checks.TOGETHER.id].code == ""
    for both in (policy().tighten(by), by.tighten(policy())):
        assert Whole(pieces, both).judge().ledger[checks.TOGETHER.id].code == "composite.together.repeated"
    empty = Whole([]).judge().ledger[checks.TOGETHER.id]
    assert (empty.code, empty.reason) == ("composite.together.missing", "There is no evidence.")


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_one_refused_piece_refuses_the_whole_wherever_it_stands(broken):
    pieces = [machine(), gpus(), vtpm()]
    for at, piece in enumerate(pieces):
        piece.signature = Outcome.FAILED if at == broken else Outcome.NOT_CHECKED
    found = Whole(pieces).judge()
    assert found.ledger[checks.APPRAISED.id].code == "composite.appraised.refused"
    assert not found.indeterminate


def test_which_piece_lacks_something_is_said():
    pieces = [machine(), gpus(signature=Outcome.NOT_CHECKED), vtpm(signature=Outcome.NOT_CHECKED)]
    found = Whole(pieces).judge()
    check = found.ledger[checks.APPRAISED.id]
    assert check.outcome is Outcome.NOT_CHECKED
    assert check.reason == "what nvidia-gpu 1 needs is missing, so it was not appraised"
    assert found.ledger[checks.TPM_NONCE.id].code == "composite.tpm.unchecked"
    assert found.indeterminate


@pytest.mark.parametrize("late", [0, 1, 2])
def test_every_piece_is_judged_at_the_time_of_the_whole(late):
    pieces = [machine(), gpus(), vtpm()]
    pieces[late].now = NOW + timedelta(seconds=1)
    assert Whole(pieces).judge().ledger[checks.TIME.id].code == "composite.time.other"


def test_how_many_machines_there_are_is_said():
    none = Whole([gpus(), vtpm()]).judge().ledger[checks.MACHINE.id]
    assert (none.code, none.reason) == (
        "composite.machine.number",
        "No pieces speak for the machine, not one.",
    )
    two = Whole([machine(), machine(bytes(64)), vtpm()]).judge().ledger[checks.MACHINE.id]
    assert two.reason == "2 pieces speak for the machine, not one."


@pytest.mark.parametrize("make", [vtpm, bare_tpm])
def test_a_tpm_answers_to_what_the_machine_commits_to(make):
    def outcome(nonce: bytes, tie: Any, report_data: bytes = PADDED) -> tuple[str, str]:
        return judged(machine(report_data), tie, make(nonce))[checks.TPM_NONCE.id]

    assert outcome(CARRIED.digest("tpm"), CARRIED, HASH) == ("passed", "")
    assert outcome(CARRIED.digest("gpu"), CARRIED, HASH)[1] == "composite.tpm.mismatch"
    for tie in (Shared(NONCE), Held(PADDED), Unchecked("a test")):
        assert outcome(NONCE, tie) == ("passed", "")
        assert outcome(PADDED, tie)[1] == "composite.tpm.mismatch"
        assert outcome(b"", tie)[1] == "composite.tpm.mismatch"
    assert outcome(NONCE, Unchecked("a test"), HASH) == ("not_checked", "composite.tpm.unchecked")
    assert outcome(NONCE, Held(HASH), HASH) == ("not_checked", "composite.tpm.unchecked")


def test_a_gpu_answers_to_what_the_machine_commits_to():
    def outcome(nonce: bytes, tie: Any, report_data: bytes = PADDED) -> tuple[str, str]:
        return judged(machine(report_data), tie, gpus(nonce))["nvidia.composite.nonce"]

    assert outcome(CARRIED.digest("gpu"), CARRIED, HASH) == ("passed", "")
    assert outcome(CARRIED.digest("tpm"), CARRIED, HASH)[0] == "failed"
    assert outcome(CARRIED.digest("gpu"), CARRIED, CARRIED.digest("tpm") + bytes(32)) == ("passed", "")
    for tie in (Shared(NONCE), Held(PADDED), Unchecked("a test")):
        assert outcome(NONCE, tie) == ("passed", "")
        assert outcome(HASH[:32], tie)[1] == "nvidia.composite.nonce.mismatch"
    assert outcome(NONCE, Unchecked("a test"), HASH)[0] == "not_checked"
    assert outcome(NONCE, Held(HASH), HASH)[0] == "not_checked"
    assert judged(gpus(), CARRIED)["nvidia.composite.nonce"][0] == "not_applicable"


def test_a_machine_without_report_data_commits_by_its_own_binding():
    claims = runtime(None, AZURE_SNP)
    bound, unbound = Made("azure-snp", claims), Made("azure-snp", claims, binding=Outcome.NOT_CHECKED)
    nonce = "nvidia.composite.nonce"
    assert judged(bound, CARRIED, gpus())[nonce] == ("passed", "")
    assert judged(bound, Shared(NONCE), gpus(NONCE))[nonce] == ("passed", "")
    assert judged(bound, Held(PADDED), gpus(NONCE))[nonce][0] == "not_checked"
    for tie in (CARRIED, Shared(NONCE)):
        assert judged(unbound, tie, gpus())[nonce][0] == "not_checked"
    two = judged(bound, CARRIED, gpus(), machine())
    assert two[nonce][0] == "not_checked"


# --- What a whole says of itself


def test_a_whole_is_indeterminate_only_where_nothing_failed():
    assert not Whole().judge().indeterminate
    missing = Whole([machine(), gpus(signature=Outcome.NOT_CHECKED)]).judge()
    assert missing.indeterminate
    other = Whole([machine(bytes(64)), gpus(signature=Outcome.NOT_CHECKED)]).judge()
    assert not other.indeterminate
    assert not Whole(tie=Unchecked("a test")).judge().indeterminate


def test_what_a_single_piece_does_not_prove_is_told_without_its_name():
    found = Whole([machine()]).judge()
    assert found.not_proven == found.pieces[0].result.not_proven


def test_what_is_common_to_all_is_told_once_and_the_rest_by_name():
    found = Whole([machine(), vtpm()]).judge()
    bus = "That nobody tapped the memory bus: physical interposers leave no trace in evidence."
    assert found.not_proven.count(bus) == 1
    assert not any(said.startswith("That the GPUs") for said in found.not_proven)
    own = [said for piece in found.pieces for said in piece.result.not_proven]
    for said in found.not_proven:
        name, _, rest = said.partition(": ")
        if name in {"tdx 0", "gcp-vtpm 1"}:
            assert own.count(rest) == 1
    assert any(said.startswith("tdx 0: ") for said in found.not_proven)
    assert any(said.startswith("gcp-vtpm 1: ") for said in found.not_proven)


def test_without_evidence_anything_is_unproven():
    assert Whole([]).judge().not_proven[-1] == "Anything: there is no evidence."
    assert "Anything: there is no evidence." not in Whole().judge().not_proven


def test_a_whole_is_simulated_if_any_piece_is():
    assert not Whole([machine(), gpus()]).judge().simulated
    assert Whole([machine(), gpus(anchor=SIMULATED)]).judge().simulated
    assert Whole([]).judge().simulated


def test_a_whole_as_json():
    by = policy(name="one").tighten(policy("name = 'two'"))
    result = Whole([machine(), gpus()], by).judge()
    shown = result.to_json()
    assert set(shown) == {
        *("schema", "verdict", "simulated", "appraised_at", "policy", "checks", "parts", "not_proven"),
    }
    assert shown["schema"] == "assay/composite-result/v1"
    assert (shown["verdict"], shown["simulated"]) == ("accepted", False)
    assert shown["appraised_at"] == NOW.isoformat()
    assert shown["policy"] == {
        "name": "one and two",
        "sha256": by.digest.hex(),
        "also": [{"name": "two", "sha256": by.also[0].digest.hex()}],
    }
    assert [part["name"] for part in shown["parts"]] == ["tdx 0", "nvidia-gpu 1"]
    assert shown["parts"][0] == {"name": "tdx 0", **result.pieces[0].result.to_json()}
    assert shown["checks"] == [check.to_json() for check in result.ledger]
    assert shown["not_proven"] == list(result.not_proven)


def test_the_checks_have_these_names_in_this_order():
    """Records of earlier appraisals name them."""
    found = appraise_together([], policy(), tie=CARRIED, now=NOW)
    assert [check.id for check in found.ledger] == [
        "composite.parts",
        "composite.distinct",
        "composite.together",
        "composite.appraised",
        "composite.time",
        "composite.machine",
        "composite.anchors",
        "composite.session",
        "nvidia.composite.nonce",
        "composite.tpm",
    ]


@pytest.mark.parametrize("name", sorted(PLATFORMS))
def test_a_platform_is_shown_by_what_a_person_reads(name):
    found = platform_of(name)
    shown = {"name": found.name, "title": found.title, "tables": found.tables, "code_keys": found.code_keys}
    assert (
        repr(found) == f"PlatformAppraisal({', '.join(f'{key}={value!r}' for key, value in shown.items())})"
    )


def test_what_failed_is_told_before_what_was_left_open():
    result = Whole([machine(), snp(signature=Outcome.NOT_CHECKED)]).judge()
    assert next(check.outcome for check in result.ledger.unmet()) is Outcome.NOT_CHECKED
    with pytest.raises(EvidenceError) as refused:
        result.require()
    assert refused.value.code == result.ledger.failed()[0].code


def test_a_lone_virtual_tpm_is_in_no_other_machine():
    alone, beside = Whole([vtpm()]).judge(), Whole([machine(), vtpm()]).judge()
    said = "That the virtual TPM is this machine's"
    assert not any(text.startswith(said) for text in alone.not_proven)
    assert any(text.startswith(said) for text in beside.not_proven)


def test_a_token_is_of_no_machine_beside_it():
    token = Made("maa", MAA)
    by = policy()
    alone, beside = Whole([token], by=by).judge(), Whole([machine(), token], by=by).judge()
    said = "That the token is about this machine"
    assert not any(text.startswith(said) for text in alone.not_proven)
    assert any(text.startswith(said) for text in beside.not_proven)
