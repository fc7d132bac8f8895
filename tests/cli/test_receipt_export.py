"""An auditor with an exported log, its key and a root, on a computer without the state."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.audit import MIGRATIONS, Log, LogKey
from assay.audit import entry as entry_form
from assay.audit.verify import verify_export
from assay.channel.runtime import events_of_start
from assay.cli.main import main
from assay.leases.record import AppraisalRecord
from assay.store import Database
from support.lease_shell import Shell

RUN = ("run", "-q", "--on", "local", "--")


class Operator:
    """One installation with two executions on two leases, and what it hands over."""

    def __init__(self, home: Path) -> None:
        self.shell = shell = Shell(home)
        for word in ("one", "two"):
            done = shell(*RUN, "echo", word)
            assert done.returncode == 0, done.stderr.decode()
        self.state = home / "state"
        self.export = home / "export"
        assert shell("audit", "export", "--out", str(self.export)).returncode == 0
        self.vkey = (self.export / "log.vkey").read_text()
        found = []
        verify_export(
            self.export, vkey=LogKey.open(self.state).verifier(self.vkey.split("+")[0]), memory=None,
            watch=lambda data: found.append(entry_form.decode(data)),
        )  # fmt: skip
        self.entries = found
        self.receipts = [str(item.facts["receipt"]) for item in found if item.kind == "receipt.issued"]
        self.roots = home / "roots.pem"
        record = AppraisalRecord.decode(self.attached(self.of("evidence.started")[0].facts["record"]))
        self.roots.write_bytes(
            x509.load_der_x509_certificate(record.anchors[0][1]).public_bytes(Encoding.PEM)
        )

    def attached(self, digest) -> bytes:
        return (self.export / "attachments" / str(digest)).read_bytes()

    def of(self, kind):
        return [item for item in self.entries if item.kind == kind]


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    return Operator(tmp_path_factory.mktemp("operator"))


class Auditor:
    """Another computer: an empty state directory that must stay absent."""

    def __init__(self, home: Path, operator: Operator, capsys) -> None:
        self.operator = operator
        self.state = home / "nothing"
        self.export = home / "handed-over"
        shutil.copytree(operator.export, self.export)
        self.receipt = home / "receipt"
        self.receipt.write_bytes(operator.attached(operator.receipts[0]))
        self.vkey: str | None = operator.vkey
        self.roots: Path | None = operator.roots
        self._capsys = capsys

    def ask(self, *more: str):
        words = ["receipt", "verify", str(self.receipt), "--export", str(self.export), "--json", *more]
        words += [] if self.vkey is None else ["--vkey", self.vkey]
        words += [] if self.roots is None else ["--roots", str(self.roots)]
        code = main(words)
        return code, json.loads(self._capsys.readouterr().out)

    def refusal(self, *more: str) -> str:
        code, found = self.ask(*more)
        assert code == 1, found
        return found["error"]["code"]

    def failed(self, *more: str) -> set[str]:
        """Return the codes of the checks that failed in a refused result."""
        code, found = self.ask(*more)
        assert (code, found["verdict"]) == (1, "refused")
        checks = [check for name in ("admission", "start") for check in found[name]["result"]["checks"]]
        return {check["code"] for check in checks if check["outcome"] == "failed"}

    def attachment(self, digest) -> Path:
        return self.export / "attachments" / str(digest)

    def hand_over(self, tmp_path, alter, *, order=lambda found: found) -> None:
        """Take an export of a log with the operator's key in which the entries say something else."""
        extra: dict[str, bytes] = {}

        def keep(data: bytes) -> str:
            digest = hashlib.sha256(data).hexdigest()
            extra[digest] = data
            return digest

        state, target, files = tmp_path / "forger", tmp_path / "forged", tmp_path / "files"
        files.mkdir()
        with Database.open(state, migrations=MIGRATIONS) as db:
            log = Log.own(db)
            with db.transaction() as tx:
                for item in order([entry for entry in self.operator.entries if entry.lease]):
                    log.append(tx, item.kind, item.lease, alter(item, keep))
            held = {item.name: item for item in (self.operator.export / "attachments").iterdir()}
            for name, data in extra.items():
                held[name] = files / name
                held[name].write_bytes(data)
            named = log.named(frozenset(held), ("receipt", "evidence", "collateral", "record"))
            log.export(target, tar=False, attachments={name: held[name] for name in named})
        self.export = target
        self.vkey = (target / "log.vkey").read_text()


@pytest.fixture
def auditor(tmp_path, operator, capsys, monkeypatch):
    made = Auditor(tmp_path, operator, capsys)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(made.state))
    yield made
    assert not made.state.exists(), "verifying makes nothing"


def test_accepted_with_nothing_but_the_export_its_key_and_the_root(auditor):
    code, found = auditor.ask()
    assert (code, found["verdict"]) == (0, "accepted")
    assert [found[name]["same_policy"] for name in ("admission", "start")] == [True, True]
    assert all(found[name]["result"]["simulated"] for name in ("admission", "start"))
    assert found["log"]["entry"] > found["start"]["entry"] > found["admission"]["entry"]
    said = " ".join(found["not_proven"])
    for part in ("no witness signed", "Reference Values of mr_td", "--reference mr_config_id",
                 "operator's clock", "hardware is simulated"):  # fmt: skip
        assert part in said


def test_a_memory_that_cannot_be_looked_at_is_not_taken_for_none(auditor, tmp_path, monkeypatch):
    """Without it a log that was rolled back would pass."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "file" / "state"))
    code, found = auditor.ask()
    assert code != 0
    assert found["error"]["code"].startswith("store.")


def test_the_second_execution_and_a_tar(auditor, operator, tmp_path):
    assert operator.shell("audit", "export", "--tar", "--out", str(tmp_path / "x.tar")).returncode == 0
    auditor.export = tmp_path / "x.tar"
    auditor.receipt.write_bytes(operator.attached(operator.receipts[1]))
    assert auditor.ask()[0] == 0


def test_the_operator_gets_the_same_answer_from_their_own_records(operator, auditor):
    own = operator.shell.json("receipt", "verify", str(auditor.receipt))
    theirs = auditor.ask()[1]
    for name in ("admission", "start"):
        made = [
            [(check["id"], check["outcome"]) for check in found[name]["result"]["checks"]]
            for found in (own, theirs)
        ]
        assert made[0] == made[1]


def test_own_reference_values_replace_the_recorded_ones(auditor, operator):
    record = AppraisalRecord.decode(operator.attached(operator.of("evidence.started")[0].facts["record"]))
    (measured,) = record.references["mr_td"]
    right = ("--reference", f"mr_td={measured.hex()}", "--reference", f"mr_config_id={record.launch.hex()}")
    code, found = auditor.ask(*right)
    assert code == 0
    assert not any("--reference" in sentence for sentence in found["not_proven"])
    assert "policy.tdx.mr_td.mismatch" in auditor.failed("--reference", f"mr_td={'00' * 48}")
    assert "gate.launch_config.mismatch" in auditor.failed("--reference", f"mr_config_id={'00' * 48}")
    assert auditor.refusal("--reference", f"rtmr3={'00' * 48}") == "lease.export.reference"


def test_a_root_that_is_only_in_the_records_counts_for_nothing(auditor):
    auditor.roots = None
    assert auditor.refusal() == "lease.record.root"


def test_another_root(auditor, tmp_path):
    stranger = Shell(tmp_path)
    made = stranger("simulate", "tdx", "--out", str(tmp_path / "theirs"))
    assert made.returncode == 0
    auditor.roots = tmp_path / "theirs" / "root.pem"
    assert auditor.refusal() == "lease.record.root"


def test_how_an_operator_hands_over_the_root(operator, auditor, tmp_path):
    made = operator.shell("simulate", "tdx", "--out", str(tmp_path / "made"))
    assert made.returncode == 0
    auditor.roots = tmp_path / "made" / "root.pem"
    assert auditor.ask()[0] == 0


def test_another_policy_is_applied_and_said(auditor):
    assert "policy.simulated.refused" in auditor.failed("--policy", "strict")
    found = auditor.ask("--policy", "strict")[1]
    assert [found[name]["same_policy"] for name in ("admission", "start")] == [False, False]


def test_an_altered_receipt(auditor):
    auditor.receipt.write_bytes(auditor.receipt.read_bytes().replace(b'"code":0', b'"code":1'))
    assert auditor.refusal() == "receipt.signature"


def test_a_receipt_that_the_log_does_not_name(auditor, tmp_path):
    auditor.hand_over(
        tmp_path,
        lambda item, _: item.facts,
        order=lambda found: [item for item in found if item.kind != "receipt.issued"],
    )
    assert auditor.refusal() == "receipt.unlogged"


def test_evidence_that_the_log_does_not_name(auditor, tmp_path):
    auditor.hand_over(
        tmp_path,
        lambda item, _: item.facts,
        order=lambda found: [item for item in found if item.kind != "evidence.admitted"],
    )
    assert auditor.refusal() == "receipt.unlogged"


def test_a_start_after_its_receipt(auditor, tmp_path):
    auditor.hand_over(
        tmp_path,
        lambda item, _: item.facts,
        order=lambda found: sorted(found, key=lambda item: item.kind == "evidence.started"),
    )
    assert auditor.refusal() == "lease.record.order"


def test_an_altered_record(auditor, operator):
    path = auditor.attachment(operator.of("evidence.started")[0].facts["record"])
    path.write_bytes(path.read_bytes().replace(b'"isolation":"', b'"isolation":"x'))
    assert auditor.refusal() == "audit.tree.attachment"


@pytest.mark.parametrize("name", ["collateral", "record", "evidence"])
def test_an_attachment_that_changes_after_the_export_was_verified(auditor, operator, monkeypatch, name):
    path = auditor.attachment(operator.of("evidence.started")[0].facts[name])

    def verify_then_change(*given, **named):
        found = verify_export(*given, **named)
        path.write_bytes(path.read_bytes() + b" ")
        return found

    monkeypatch.setattr("assay.leases.exported.verify_export", verify_then_change)
    assert auditor.refusal() == "audit.tree.attachment"


@pytest.mark.parametrize("name", ["collateral", "record", "evidence"])
def test_what_was_not_attached(auditor, operator, name):
    auditor.attachment(operator.of("evidence.started")[0].facts[name]).unlink()
    assert auditor.refusal() == "lease.export.missing"


def test_a_wrong_key(auditor, tmp_path):
    with Database.open(tmp_path / "other", migrations=MIGRATIONS) as db:
        auditor.vkey = str(LogKey.open(db.directory).verifier(auditor.operator.vkey.split("+")[0]))
    assert auditor.refusal().startswith("audit.signature.")


def test_no_key(auditor):
    auditor.vkey = None
    code, found = auditor.ask()
    assert (code, found["error"]["code"]) == (2, "audit.key.none")


def test_a_key_without_an_export(auditor, capsys):
    assert main(["receipt", "verify", str(auditor.receipt), "--vkey", "x"]) == 2
    assert "cli.receipt.export" in capsys.readouterr().err


def started_with(operator, change):
    """Return how entries of a start are altered: their record is ``change`` of the true one."""

    def alter(item, keep):
        if item.kind != "evidence.started":
            return item.facts
        record = change(AppraisalRecord.decode(operator.attached(item.facts["record"])))
        return {**item.facts, "record": keep(record.encode())}

    return alter


def test_the_true_entries_under_another_log_are_accepted(auditor, operator, tmp_path):
    auditor.hand_over(tmp_path, started_with(operator, lambda record: record))
    assert auditor.ask()[0] == 0


def test_the_record_of_another_execution(auditor, operator, tmp_path):
    other = operator.of("evidence.started")[1].facts["record"]

    def alter(item, _):
        return {**item.facts, "record": other} if item.kind == "evidence.started" else item.facts

    auditor.hand_over(tmp_path, alter)
    assert auditor.refusal() == "lease.record.other"


def test_a_log_of_an_earlier_version(auditor, tmp_path):
    auditor.hand_over(
        tmp_path, lambda item, _: {name: value for name, value in item.facts.items() if name != "record"}
    )
    assert auditor.refusal() == "lease.record.missing"


def with_binding(**slots):
    return lambda record: replace(record, binding=replace(record.binding, **slots))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (with_binding(receipt_key=b"another"), "lease.record.session"),
        (with_binding(channel_key=b"another"), "lease.record.session"),
        (with_binding(purpose="admission"), "lease.record.session"),
        (lambda record: replace(record, isolation="none-at-all"), "lease.record.session"),
        (lambda record: replace(record, history=record.history[:2]), "lease.record.history"),
        (lambda record: replace(record, history=record.history * 2), "lease.record.history"),
        (lambda record: replace(record, policy="mine"), "lease.record.policy"),
        (lambda record: replace(record, policy_digest=bytes(32)), "lease.record.other"),
        (with_binding(lease="asy-000000000000"), "lease.record.other"),
        (with_binding(nonce=bytes(32)), "lease.record.other"),
        (with_binding(platform="sgx"), "lease.record.platform"),
        (lambda record: replace(record, history=record.history[:1]), "lease.record.history"),
    ],
)
def test_a_record_that_contradicts_the_rest(auditor, operator, tmp_path, change, code):
    auditor.hand_over(tmp_path, started_with(operator, change))
    assert auditor.refusal() == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"launch": bytes(48)}, "gate.launch_config.mismatch"),
        ({"references": {"mr_td": frozenset({bytes(48)})}}, "policy.tdx.mr_td.mismatch"),
        ({"required": ("no.such.check",)}, "gate.required_checks.missing"),
    ],
)
def test_a_record_that_the_evidence_contradicts(auditor, operator, tmp_path, change, code):
    auditor.hand_over(tmp_path, started_with(operator, lambda record: replace(record, **change)))
    assert code in auditor.failed()


def test_a_bundle_that_was_never_measured(auditor, operator, tmp_path):
    def change(record):
        *before, bundle = record.history
        return replace(record, history=(*before, replace(bundle, payload=bytes(32))))

    auditor.hand_over(tmp_path, started_with(operator, change))
    assert auditor.refusal() == "receipt.session.bundle"


@pytest.mark.parametrize(
    ("slots", "code"),
    [({"platform": "sgx"}, "lease.record.platform"), ({"role": "broker"}, "lease.record.session")],
)
def test_evidence_of_another_kind_that_the_records_choose(auditor, operator, tmp_path, slots, code):
    def alter(item, keep):
        if item.kind not in ("evidence.admitted", "evidence.started"):
            return item.facts
        record = AppraisalRecord.decode(operator.attached(item.facts["record"]))
        return {**item.facts, "record": keep(with_binding(**slots)(record).encode())}

    auditor.hand_over(tmp_path, alter)
    assert auditor.refusal() == code


def test_a_history_of_another_number_of_starts(auditor, operator, tmp_path):
    def alter(item, keep):
        if item.kind not in ("evidence.admitted", "evidence.started"):
            return item.facts
        record = AppraisalRecord.decode(operator.attached(item.facts["record"]))
        earlier = events_of_start("none", bytes(32), bytes(32))
        return {**item.facts, "record": keep(replace(record, history=earlier + record.history).encode())}

    auditor.hand_over(tmp_path, alter)
    assert auditor.refusal() == "receipt.session.sequence"


def test_what_a_person_is_told(auditor, operator, capsys):
    words = ["receipt", "verify", str(auditor.receipt), "--export", str(auditor.export)]
    key = auditor.state.parent / "log.vkey"
    key.write_text(operator.vkey)
    assert main([*words, "--vkey", str(key), "--roots", str(operator.roots)]) == 0
    out = capsys.readouterr().out
    for part in ("accepted, simulated", "not proven:", "they are the operator's record", "no witness signed"):
        assert part in out
    assert main([*words, "--vkey", str(key)]) == 1
    err = capsys.readouterr().err
    assert "--roots FILE.pem" in err
