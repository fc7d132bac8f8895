"""``assay verify`` over a file of several: each piece is shown, and the whole has the last word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from assay.appraisal import Context, Policy, Verdict
from assay.appraisal.pieces import Held
from assay.cli import exit_codes
from assay.cli.asking import Question
from assay.cli.main import main
from assay.cli.together import judge, tie_of, to_json, whole_lines
from assay.cli.typed import Asked, binding_of
from assay.evidence.dstack import Attestation
from assay.evidence.eat.cmw import ENDORSEMENTS, Collection, Record, encode_cbor
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import fingerprint
from assay.simulator.scene import Scene
from assay.verification.materials import Materials
from assay.verification.opening import open_bundle
from assay.verification.terms import Terms
from support import google_vm_scenes, vectors
from support.dcap_scenes import INTEL, NOW
from support.dstack_attested import EVENTS, bare, packed

REAL = str(vectors.ROOT / "nvidia/sparkdistill/2026-07-15-magicrails-hopper-v2.json")
AT = "2026-07-15T07:55Z"
FILE = Path("evidence")
NONCE = bytes(range(32))
POLICY = b"""
version = 1
platforms = ["tdx", "gcp-vtpm"]
simulated = "only"
accept = ["simulated", "host-tpm"]
together = ["tdx", "gcp-vtpm"]
"""


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "no-state"))


def said(capsys, *words):
    vectors.read("nvidia/sparkdistill/2026-07-15-magicrails-hopper-v2.json")
    code = main(["verify", REAL, "--at", AT, *words])
    return code, capsys.readouterr().out


def test_every_piece_of_a_real_bundle_is_shown_and_then_the_whole(capsys):
    code, out = said(capsys, "--report-data", "unchecked")
    assert code == exit_codes.REFUSED
    titles = [line for line in out.splitlines() if line.startswith(REAL)]
    assert [title.rpartition(": ")[2] for title in titles] == ["tdx, TDX", "token, NRAS", "all 2 together"]
    assert out.count("Verdict: ") == 3
    assert "composite.appraised" in out
    assert out.rindex("Verdict: ") > out.rindex("Not proven together")


def test_the_whole_as_json(capsys):
    code, out = said(capsys, "--nonce", "11" * 32, "--json")
    assert code == exit_codes.REFUSED
    (shown,) = json.loads(out)["results"]
    assert shown["verdict"] == "refused"
    assert shown["schema"] == "assay/composite-result/v1"
    assert [part["name"] for part in shown["parts"]] == ["tdx", "token"]
    assert all(part["missing"] for part in shown["parts"])
    assert shown["checks"][0]["id"] == "composite.parts"


def wrapped(tpm_nonce: bytes = NONCE, *, report_data: bytes = NONCE.ljust(64, b"\0")) -> bytes:
    """Return a TD quote and the quote of a virtual TPM in one wrapper."""
    quote = Scene(INTEL, "tdx", 4, NOW, report_data).finish().quote
    scene = google_vm_scenes.scene()
    scene.nonce = tpm_nonce
    scene.quote_again()
    container = scene.finish().container
    return encode_cbor(
        Collection({"cpu": Record(30001, quote), "tpm": Record(30002, container)}, "tag:example.com,2026:a")
    )


def question(asked: Asked, policy: bytes = POLICY) -> Question:
    google = google_vm_scenes.GOOGLE
    roots = Roots.vendor().with_anchor("simulated Intel", INTEL.root_der)
    return Question(
        policy=Policy.load(policy, name="two"),
        asked=asked,
        now=NOW,
        as_of=True,
        roots=roots.with_anchor("simulated Google", google.root_der, vendor="google-vtpm"),
        context=Context(
            installation_roots=frozenset({fingerprint(INTEL.root_der), fingerprint(google.root_der)})
        ),
        references={},
        manifest=None,
        materials=Materials.of({"c.json": INTEL.collateral(NOW, platform="tdx").to_bundle_json()}),
        terms=Terms(),
        event_log=None,
        app_compose=None,
        facts=FactCache(),
    )


@pytest.mark.parametrize("asked", [Asked(NONCE, nonce=True), Asked(NONCE.ljust(64, b"\0"), nonce=False)])
def test_pieces_of_one_session_are_accepted(asked):
    whole = judge(question(asked), open_bundle(wrapped()), FILE)
    assert whole.result.accepted, [
        whole.result.ledger.unmet(),
        [a.result.ledger.unmet() for a in whole.answers],
    ]
    lines = "\n".join(whole_lines(whole, title="a file"))
    assert "Verdict: accepted (simulated)" in lines
    assert "Every piece is accepted under policy two, and bound to your one session." in lines
    assert to_json(whole)["verdict"] == "accepted"


def test_a_nonce_may_be_typed_with_the_report_data():
    behind = b"k" * 32 + NONCE
    asked = binding_of(behind.hex(), NONCE.hex())
    assert tie_of(asked) == Held(behind, NONCE)
    assert tie_of(binding_of(behind.hex(), None)) == Held(behind)
    bundle = open_bundle(wrapped(report_data=behind))
    whole = judge(question(asked), bundle, FILE)
    assert whole.result.accepted, whole.result.ledger.unmet()
    assert (
        judge(question(binding_of(behind.hex(), None)), bundle, FILE).result.verdict.value
        == "genuine_not_bound"
    )
    assert not judge(question(binding_of(behind.hex(), "00" * 32)), bundle, FILE).result.accepted
    lines = "\n".join(whole_lines(whole, title="a file", unverified=["a thing", "b\x1b"]))
    assert "In the file, but not verified\n  - a thing\n  - b\\x1b\n" in lines


def test_the_tpm_of_another_session_is_refused_and_an_open_binding_stays_open():
    bundle = open_bundle(wrapped(b"n" * 32))
    assert not judge(question(Asked(NONCE, nonce=True)), bundle, FILE).result.accepted
    unchecked = judge(question(Asked(None, nonce=False)), bundle, FILE)
    assert unchecked.result.ledger["composite.tpm"].code == "composite.tpm.mismatch"
    assert "composite.tpm failed" in "\n".join(whole_lines(unchecked, title="a file"))
    same = judge(question(Asked(None, nonce=False)), open_bundle(wrapped()), FILE)
    assert same.result.verdict.value == "genuine_not_bound"
    assert "could not be checked" in "\n".join(whole_lines(same, title="a file"))


def test_one_of_them_alone_is_refused():
    bundle = open_bundle(wrapped())
    for part in bundle.parts:
        answer = question(Asked(NONCE, nonce=True)).judge(replace(part, name=""), FILE)
        assert "policy.together.alone" in [check.code for check in answer.result.ledger.failed()]


def test_what_a_sender_put_beside_evidence_and_is_of_no_use_is_passed_over(capsys, tmp_path):
    quote = Scene(INTEL, "tdx", 4, NOW, NONCE.ljust(64, b"\0")).finish().quote
    file = tmp_path / "one.cmw"
    file.write_bytes(
        encode_cbor(
            Collection({"cpu": Record(30001, quote), "more": Record(30002, b"garbage", ENDORSEMENTS)})
        )
    )
    code = main(["verify", str(file), "--report-data", "unchecked"])
    out = capsys.readouterr().out
    assert code == exit_codes.REFUSED
    assert "dcap.root.pinned failed" in out
    assert "nothing that was given or came with the evidence fits" in " ".join(out.split())


# --- Several machines in one input

BOUND = Asked(NONCE, nonce=True)
LEFT_OPEN = Asked(None, nonce=False)
ALONE = POLICY.rpartition(b"together")[0]


def quotes(*machines: str) -> list[bytes]:
    """Return genuine quotes of TDs on machines, all of them with the session's nonce."""
    made = []
    for at, machine in enumerate(machines):
        scene = Scene(INTEL, "tdx", 4, NOW, NONCE.ljust(64, b"\0"))
        scene.quote_from(INTEL.machine(machine, made=NOW.replace(month=1, day=1)), mr_td=bytes([at + 1]) * 48)
        made.append(scene.finish().quote)
    return made


def attestation(quote: bytes) -> bytes:
    """Return a quote as dstack's VersionedAttestation holds it."""
    return packed(Attestation("tdx", quote, tuple(EVENTS), bare(EVENTS), NONCE.ljust(64, b"\0"), "{}"))


def in_one_file(pieces: list[bytes]) -> bytes:
    return encode_cbor(Collection({str(at): Record(30001, each) for at, each in enumerate(pieces)}))


@pytest.mark.parametrize("asked", [BOUND, LEFT_OPEN], ids=["bound", "unchecked"])
@pytest.mark.parametrize(
    "policy", [ALONE, ALONE + b'together = ["tdx", "tdx"]\n'], ids=["unsaid", "demanded"]
)
@pytest.mark.parametrize("machines", [("one", "one"), ("one", "two")], ids=["one host", "two hosts"])
@pytest.mark.parametrize("form", [bytes, attestation], ids=["quotes", "attestations"])
def test_two_machines_in_one_file_are_refused_and_never_called_one(asked, policy, machines, form):
    """composite.machine.number, whoever asks for it: nothing that was compared ties two machines."""
    bundle = open_bundle(in_one_file([form(quote) for quote in quotes(*machines)]))
    whole = judge(question(asked, policy), bundle, FILE)
    assert whole.result.verdict is Verdict.REFUSED
    assert "composite.machine.number" in [check.code for check in whole.result.ledger.failed()]
    if form is bytes:  # each of them by itself is what it says
        wanted = Verdict.ACCEPTED if asked is BOUND else Verdict.GENUINE_NOT_BOUND
        assert {answer.result.verdict for answer in whole.answers} == {wanted}
    lines = "\n".join(whole_lines(whole, title="a file"))
    assert "one session" not in lines
    assert lines.splitlines()[-2] == "Verdict: refused (simulated)"


def test_only_pieces_whose_bindings_were_compared_are_of_one_session():
    for asked, piece in (
        (LEFT_OPEN, wrapped()),
        (Asked(b"r" * 64, nonce=False), wrapped(report_data=b"r" * 64)),
    ):
        whole = judge(question(asked), open_bundle(piece), FILE)
        assert whole.result.verdict is Verdict.GENUINE_NOT_BOUND
        lines = "\n".join(whole_lines(whole, title="a file"))
        assert "one session" not in lines
        assert "That the evidence is fresh, or meant for you" in lines


def test_several_files_are_judged_one_by_one_and_nothing_is_said_of_them_together(capsys, tmp_path):
    files = []
    for at, quote in enumerate(quotes("one", "two")):
        files.append(str(tmp_path / f"{at}.bin"))
        (tmp_path / f"{at}.bin").write_bytes(quote)
    words = ["verify", *files, "--at", NOW.isoformat(), "--nonce", NONCE.hex()]
    assert main(words) == exit_codes.REFUSED
    out = capsys.readouterr().out
    assert out.count("Verdict: ") == 2
    assert "ogether" not in out
    main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [each["file"] for each in found["results"]] == files
    assert found.keys() == {"schema", "results"}
