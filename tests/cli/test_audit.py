from __future__ import annotations

import json
import os
import sys

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from support.audit_children import SOURCE
from support.audit_logs import KEY, ORIGIN, OTHER_KEY, Forged, put, put_tar


@pytest.fixture
def state(tmp_path, monkeypatch):
    path = tmp_path / "state"
    monkeypatch.setenv("ASSAY_STATE_DIR", str(path))
    return path


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def answer(capsys, *words):
    code, out, _ = run(capsys, *words, "--json")
    return code, json.loads(out)


@pytest.fixture
def recorded(state):
    """Record two entries and keep what one of them names."""
    from assay.audit import MIGRATIONS, Log
    from assay.leases.vault import Vault
    from assay.store import Database

    with Database.open(state, migrations=MIGRATIONS) as db:
        log = Log.own(db)
        kept = Vault(state).put(b"a receipt")
        Vault(state).put(b"never named")
        manifest = Vault(state).put(b"with a command line")
        with db.transaction() as tx:
            log.append(tx, "receipt.issued", "lease-1", {"receipt": kept.hex(), "manifest": manifest.hex()})
    return log


@pytest.mark.parametrize("tar", [[], ["--tar"]])
def test_export_and_verify_with_nothing_but_the_own_state(recorded, tmp_path, capsys, tar):
    code, found = answer(capsys, "audit", "export", "--out", tmp_path / "e", *tar)
    assert (code, found["size"], found["attachments"], found["origin"]) == (0, 2, 1, recorded.origin)
    code, found = answer(capsys, "audit", "verify", tmp_path / "e")
    assert (code, found["exit_code"], found["verdict"]) == (16, 16, "consistent_unwitnessed")
    assert (found["size"], found["attachments"], found["remembered_size"]) == (2, 1, None)
    code, out, _ = run(capsys, "audit", "verify", tmp_path / "e", "--allow-unwitnessed")
    assert code == 0
    assert "seen before  with 2 entries" in out
    assert "consistent, but unwitnessed" in out


def test_the_words_for_a_person(recorded, tmp_path, capsys):
    code, out, _ = run(capsys, "audit", "export", "--out", tmp_path / "e")
    assert code == 0
    assert f"assay audit verify {tmp_path / 'e'}" in out


def test_nothing_to_export(state, capsys):
    code, out, err = run(capsys, "audit", "export", "--out", "x")
    assert (code, out) == (1, "")
    assert "audit.log.none" in err
    assert not state.exists(), "looking makes nothing"


def test_a_state_that_cannot_be_looked_at_is_no_state_without_a_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / ("long" * 100) / "state"))
    code, found = answer(capsys, "audit", "export", "--out", tmp_path / "e")
    assert (code, found["error"]["code"]) == (1, "store.directory.unusable")


def test_a_target_that_exists(recorded, tmp_path, capsys):
    (tmp_path / "e").write_bytes(b"")
    assert "audit.export.exists" in run(capsys, "audit", "export", "--out", tmp_path / "e")[2]


def test_an_earlier_log_is_offered_and_exported_by_name(recorded, state, tmp_path, capsys):
    (state / "log.head").unlink()
    code, _, err = run(capsys, "audit", "export", "--out", tmp_path / "new")
    assert (code, f"--origin {recorded.origin}" in err) == (0, True)
    code, found = answer(capsys, "audit", "export", "--out", tmp_path / "old", "--origin", recorded.origin)
    assert (code, found["origin"], found["size"], found["attachments"]) == (0, recorded.origin, 2, 1)
    assert run(capsys, "audit", "verify", tmp_path / "old")[0] == 16
    code, found = answer(capsys, "audit", "verify", tmp_path / "new")
    assert (code, found["continues"]["origin"], found["continues"]["size"]) == (16, recorded.origin, 2)
    code, _, err = run(capsys, "audit", "export", "--out", tmp_path / "x", "--origin", "other")
    assert (code, "audit.log.unknown" in err) == (2, True)


LOG = Forged().grow(300)


def verify(capsys, path, *words, vkey=None):
    return answer(capsys, "audit", "verify", path, "--vkey", vkey or LOG.vkey, *words)


def test_a_key_from_a_file_or_a_string(state, tmp_path, capsys):
    path = put(LOG.files(), tmp_path / "e")
    (tmp_path / "key").write_text(f"{LOG.vkey}\n")
    assert verify(capsys, path)[0] == 16
    assert verify(capsys, path, vkey=tmp_path / "key")[0] == 16


def test_no_key_at_all(state, tmp_path, capsys):
    path = put(LOG.files(), tmp_path / "e")
    code, out, err = run(capsys, "audit", "verify", path)
    assert (code, out) == (2, "")
    assert "audit.key.none" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--vkey", "no-such-file"], "audit.input.unreadable"),
        (["--vkey", "a+b"], "audit.key.malformed"),
        (["--policy", "no-such-file"], "audit.input.unreadable"),
    ],
)
def test_what_was_typed_wrongly(state, tmp_path, capsys, words, expected):
    path = put(LOG.files(), tmp_path / "e")
    code, _, err = run(capsys, "audit", "verify", path, *words)
    assert code == exit_codes.USAGE
    assert expected in err


def test_files_that_are_too_large_or_no_text(state, tmp_path, capsys):
    path = put(LOG.files(), tmp_path / "e")
    (tmp_path / "large").write_bytes(b"x" * 5000)
    (tmp_path / "binary").write_bytes(b"\xff")
    assert "audit.input.size" in run(capsys, "audit", "verify", path, "--vkey", tmp_path / "large")[2]
    assert "audit.input.unreadable" in run(capsys, "audit", "verify", path, "--vkey", tmp_path / "binary")[2]


def test_no_such_export(state, tmp_path, capsys):
    code, _, err = run(capsys, "audit", "verify", tmp_path / "none", "--vkey", LOG.vkey)
    assert (code, "audit.export.missing" in err) == (exit_codes.USAGE, True)


def other_key(files):
    return {**files, "checkpoint": OTHER_KEY.sign(LOG.checkpoint())}


def other_entry(files):
    name = "tile/entries/000"
    return {**files, name: files[name].replace(b"lease.intended", b"lease.released", 1)}


@pytest.mark.parametrize(
    ("change", "code", "error"),
    [
        (other_key, exit_codes.LOG_SIGNATURE, "audit.signature.missing"),
        (other_entry, exit_codes.LOG_ROOT, "audit.tree.tile"),
        (lambda files: {**files, "x": b""}, exit_codes.LOG_FORMAT, "audit.format.unexpected"),
    ],
)
@pytest.mark.parametrize("tar", [False, True])
def test_exit_codes_of_what_is_wrong_with_a_log(state, tmp_path, capsys, change, code, error, tar):
    path = (put_tar if tar else put)(change(LOG.files()), tmp_path / "e")
    found_code, found = verify(capsys, path)
    assert (found_code, found["exit_code"], found["error"]["code"]) == (code, code, error)
    assert found["verdict"] == "refused"
    assert "refused:" in run(capsys, "audit", "verify", path, "--vkey", LOG.vkey)[2]


def test_exit_code_of_a_rollback(state, tmp_path, capsys):
    old = put(Forged().grow(2).files(), tmp_path / "old")
    new = put(Forged().grow(3).files(), tmp_path / "new")
    assert verify(capsys, new)[0] == 16
    code, found = verify(capsys, old)
    assert (code, found["error"]["code"]) == (exit_codes.LOG_HISTORY, "audit.history.rollback")
    code, found = verify(capsys, old, "--no-memory")
    assert (code, found["remembered_size"]) == (16, None)
    assert (state / "audit-memory.json").stat().st_mode & 0o777 == 0o600


def test_exit_codes_of_witnesses_and_age(state, tmp_path, capsys):
    path = put(LOG.files(), tmp_path / "e")
    from assay.audit import VerifierKey

    policy = tmp_path / "policy"
    policy.write_text(f"log {LOG.vkey}\nwitness w {VerifierKey('w', 4, bytes(32))}\nquorum w\n")
    code, found = answer(capsys, "audit", "verify", path, "--policy", policy)
    assert (code, found["error"]["code"]) == (exit_codes.LOG_QUORUM, "audit.witness.quorum")
    policy.write_text(f"log {KEY.verifier('log.example/x')}\nlog {LOG.vkey}\nquorum none\n")
    assert answer(capsys, "audit", "verify", path, "--policy", policy)[0] == 16
    code, found = verify(capsys, path, "--max-age", "1")
    assert code == exit_codes.LOG_STALE
    policy.write_text("quorum none\n")
    assert run(capsys, "audit", "verify", path, "--policy", policy)[0] == exit_codes.USAGE
    policy.write_text("nonsense\n")
    assert run(capsys, "audit", "verify", path, "--policy", policy)[0] == exit_codes.USAGE


def test_a_witnessed_log_answers_0(state, tmp_path, capsys):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from assay.audit import VerifierKey, note

    files = LOG.files()
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    witness = VerifierKey("w.example/1", 4, private.public_key().public_bytes_raw())
    text = LOG.checkpoint().encode()
    signature = private.sign(b"cosignature/v1\ntime 1790000000\n" + text)
    line = note.sign(text, witness.name, witness.id, (1790000000).to_bytes(8, "big") + signature)
    files["checkpoint"] += line.removeprefix(text + b"\n")
    policy = tmp_path / "policy"
    policy.write_text(f"log {LOG.vkey}\nwitness w {witness}\nquorum w\n")
    path = put(files, tmp_path / "e")
    code, found = answer(capsys, "audit", "verify", path, "--policy", policy)
    assert (code, found["verdict"], found["witnesses"]) == (0, "consistent", ["w.example/1"])
    assert "seen by the witnesses" in run(capsys, "audit", "verify", path, "--policy", policy)[1]


def test_a_log_that_continues_another_is_shown_as_such(state, tmp_path, capsys):
    new = Forged(origin="log.example/next").add(
        "log.continued",
        "",
        previous_origin=ORIGIN,
        previous_size=3,
        previous_root="ab" * 32,
        reason="\x1b[2J",
    )
    new.add(time=0.0)
    path = put(new.files(), tmp_path / "e")
    _, out, _ = run(capsys, "audit", "verify", path, "--vkey", new.vkey)
    assert f"continues    {ORIGIN}, after 3 entries: \\x1b[2J" in out
    assert "went back 1 times" in out


def test_verifying_needs_no_network_and_no_database(state, tmp_path):
    import shutil
    import subprocess

    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    path = put(LOG.files(), tmp_path / "e")
    typed = ["audit", "verify", str(path), "--vkey", str(LOG.vkey)]
    code = f"import sys; from assay.cli.main import main; sys.exit(main({typed!r}))"
    words = ["unshare", "-rn", sys.executable, "-c", code]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr:
        pytest.skip("no network namespace can be made here")
    assert done.returncode == 16, done.stderr
    assert [item.name for item in state.iterdir()] == ["audit-memory.json"]
