from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.audit import Checkpoint, LogKey, entry, merkle, tiles
from assay.audit.verify import EXIT_CODES, verify_export
from assay.errors import AuditError
from support.audit_logs import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    START,
    Forged,
    digest,
    files_of,
    open_state,
    put,
    put_tar,
    record,
)

NOW = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)


def verify(files, tmp_path, *, vkey=None, memory=None, tar=False, **options):
    path = tmp_path / f"export-{len(list(tmp_path.iterdir()))}"
    (put_tar if tar else put)(files, path)
    return verify_export(path, vkey=vkey or KEY.verifier(ORIGIN), memory=memory, **options)


def refusal(files, tmp_path, **options):
    with pytest.raises(AuditError) as caught:
        verify(files, tmp_path, **options)
    return caught.value.code


def changed(data: bytes, place: int = 10) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 1000])
@pytest.mark.parametrize("tar", [False, True])
def test_logs_of_every_shape_verify(tmp_path, size, tar):
    log = Forged().grow(size)
    found = verify(log.files(), tmp_path, tar=tar)
    assert found.checkpoint == log.checkpoint()
    assert found.unsigned == ("README.txt",)
    assert "no witness" in found.not_proven[0]


@pytest.mark.parametrize("size", [0, 1, 300])
def test_who_watches_is_told_every_entry_that_was_verified(tmp_path, size):
    log = Forged().grow(size)
    told: list[bytes] = []
    verify(log.files(), tmp_path, watch=told.append)
    assert told == log.entries


@pytest.mark.parametrize("tar", [False, True])
def test_a_real_export_verifies_and_says_what_is_in_it(tmp_path, tar):
    db, log = open_state(tmp_path / "state")
    receipt = b"a receipt"
    with db:
        record(db, log, 300, receipt=digest(receipt))
        target = tmp_path / "export"
        checkpoint = log.export(target, tar=tar, attachments={digest(receipt): receipt})
        key = LogKey.open(tmp_path / "state").verifier(log.origin)
    found = verify_export(target, vkey=key, memory=tmp_path / "state" / "memory.json")
    assert found.checkpoint == checkpoint
    assert found.attachments == 1
    assert (found.witnesses, found.quorum, found.remembered, found.reversals) == ((), False, None, 0)
    plain = found.to_json()
    assert plain["size"] == 301
    assert plain["first_time"] <= plain["last_time"]


RECEIPT = b"a receipt"
BIG = Forged().grow(700).add(receipt=digest(RECEIPT))
FILES = {**BIG.files(attachments=(RECEIPT,)), **BIG.proof(300)}
KINDS = {
    "checkpoint": ("checkpoint", {"signature", "format"}),
    "key": ("log.vkey", {"signature"}),
    "first bundle": ("tile/entries/000", {"tree", "format"}),
    "last bundle": ("tile/entries/002.p/189", {"tree", "format"}),
    "full tile": ("tile/0/001", {"tree"}),
    "partial tile": ("tile/0/002.p/189", {"tree"}),
    "upper tile": ("tile/1/000.p/2", {"tree"}),
    "attachment": (f"attachments/{digest(RECEIPT)}", {"tree"}),
    "proof": ("consistency/300-701", {"history", "format"}),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bit_of_any_signed_file_can_change(tmp_path_factory, kind, data):
    name, classes = KINDS[kind]
    content = bytearray(FILES[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    code = refusal({**FILES, name: bytes(content)}, tmp_path_factory.mktemp("x"))
    assert code.split(".")[1] in classes


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_behind_the_key_can_change(tmp_path, bit):
    """A line may end otherwise in other texts; here it ends as it was written."""
    key = bytearray(FILES["log.vkey"])
    key[-1] ^= 1 << bit
    assert refusal({**FILES, "log.vkey": bytes(key)}, tmp_path) == "audit.signature.key"


@pytest.mark.parametrize(
    ("name", "code"),
    [(name, "audit.format.missing") for name in FILES if name not in ("README.txt", "consistency/300-701")],
)
def test_no_file_may_be_missing(tmp_path, name, code):
    files = {other: data for other, data in FILES.items() if other != name}
    if name.startswith("attachments/"):
        assert verify(files, tmp_path).attachments == 0, "an export may be made without them"
    else:
        assert refusal(files, tmp_path) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("extra", "audit.format.unexpected"),
        ("tile/0/003", "audit.format.unexpected"),
        ("tile/0/000.p/5", "audit.format.unexpected"),
        ("tile/5/000", "audit.format.unexpected"),
        ("attachments/short", "audit.format.unexpected"),
        (f"attachments/{'0' * 64}", "audit.format.unnamed"),
        ("consistency/0-701", "audit.format.unexpected"),
        ("consistency/300-702", "audit.format.proof"),
        ("consistency/701-300", "audit.history.proof"),
    ],
)
def test_no_file_may_be_added(tmp_path, name, code):
    assert refusal({**FILES, name: b""}, tmp_path) == code


def test_the_readme_is_the_only_thing_that_may_change(tmp_path):
    verify({**FILES, "README.txt": b"send money"}, tmp_path)


def test_a_checkpoint_of_another_key_or_origin(tmp_path):
    other = Forged(key=OTHER_KEY, entries=BIG.entries)
    assert refusal(other.files(), tmp_path) == "audit.signature.missing"
    renamed = Forged(origin="log.example/other", entries=BIG.entries).files()
    assert refusal(renamed, tmp_path) == "audit.signature.missing"
    files = {**FILES, "log.vkey": f"{OTHER_KEY.verifier(ORIGIN)}\n".encode()}
    assert refusal(files, tmp_path) == "audit.signature.key"


def test_a_log_key_signs_for_its_own_origin_only(tmp_path):
    from assay.audit import note

    text = Checkpoint("log.example/other", 0, merkle.EMPTY_ROOT).encode()
    key = KEY.verifier(ORIGIN)
    signature = KEY.sign(Checkpoint("log.example/other", 0, merkle.EMPTY_ROOT))
    raw = note.split(signature)[1][0][2]
    files = {"checkpoint": note.sign(text, key.name, key.id, raw), "log.vkey": str(key).encode()}
    assert refusal(files, tmp_path) == "audit.signature.origin"


def test_a_signed_root_that_is_not_that_of_the_entries(tmp_path):
    files = BIG.files(checkpoint=Checkpoint(ORIGIN, 701, merkle.leaf_hash(b"other")))
    assert refusal(files, tmp_path) == "audit.tree.root"


def test_a_signed_size_that_is_not_that_of_the_entries(tmp_path):
    for size in (700, 702, 1 << 62):
        files = BIG.files(checkpoint=Checkpoint(ORIGIN, size, BIG.checkpoint().root))
        assert refusal(files, tmp_path).startswith("audit.format.")


def forged_entry(**changes):
    """Return a log whose second entry is changed, and everything else made to fit it."""
    log = Forged().grow(1)
    good = {"seq": 1, "prev": merkle.leaf_hash(log.entries[0]), "time": START, "kind": "a.b", "lease": ""}
    log.entries.append(entry.encode(**{**good, "facts": {}, **changes}))
    return log


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"seq": 2}, "audit.format.chain"),
        ({"seq": 0}, "audit.format.chain"),
        ({"prev": bytes(32)}, "audit.format.chain"),
        ({"prev": None}, "audit.format.chain"),
    ],
)
def test_a_chain_that_the_signer_itself_broke(tmp_path, changes, code):
    assert refusal(forged_entry(**changes).files(), tmp_path) == code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"n":0', b'"n": 0'),
        (b'"n":0', b'"n":0,"m":0'),
        (b'"n":0', b'"n":0,"n":0'),
        (b'"n":0', b'"n":"' + b"x" * 513 + b'"'),
        (b'"n":0', b'"n":"\xff"'),
        (b"2026-09-21", b"2026-09-31"),
    ],
)
def test_entries_that_are_not_of_our_form_are_refused_though_signed(tmp_path, old, new):
    log = Forged().grow(1)
    assert old in log.entries[0]
    log.entries[0] = log.entries[0].replace(old, new)
    assert refusal(log.files(), tmp_path) == "audit.format.entry"


def test_a_bundle_with_something_besides_its_entries(tmp_path):
    name = "tile/entries/002.p/189"
    for data in (FILES[name] + b"\0\0", FILES[name] + b"\0", FILES[name][:-1], b""):
        assert refusal({**FILES, name: data}, tmp_path) == "audit.format.bundle"
    huge = bytes(tiles.LARGEST_BUNDLE + 1)
    assert refusal({**FILES, name: huge}, tmp_path) == "audit.format.size"


def test_an_attachment_that_no_entry_names(tmp_path):
    assert refusal(BIG.files(attachments=(b"another",)), tmp_path) == "audit.format.unnamed"
    leaf = b"\0" + BIG.entries[0]
    assert digest(leaf) == merkle.leaf_hash(BIG.entries[0]).hex()
    assert refusal(BIG.files(attachments=(leaf,)), tmp_path) == "audit.format.unnamed", "prev names nothing"


def test_clock_reversals_are_counted_and_said(tmp_path):
    log = Forged().add(time=START + 10).add(time=START).add(time=START + 5).add(time=START - 86400 * 365)
    found = verify(log.files(), tmp_path)
    assert found.reversals == 2


@pytest.mark.parametrize(("seconds", "code"), [(3600 - 699, "audit.age.stale"), (0, "audit.age.stale")])
def test_age(tmp_path, seconds, code):
    newest = timedelta(seconds=3600 - 700)
    verify(FILES, tmp_path, max_age=newest.total_seconds(), now=NOW)
    assert refusal(FILES, tmp_path, max_age=min(seconds, newest.total_seconds() - 1), now=NOW) == code


def test_an_age_from_the_future_none_or_without_a_clock(tmp_path):
    assert refusal(FILES, tmp_path, max_age=1e9, now=NOW - timedelta(days=1)) == "audit.age.future"
    assert refusal(Forged().files(), tmp_path, max_age=1e9, now=NOW) == "audit.age.stale"
    assert refusal(FILES, tmp_path, max_age=1e9) == "audit.age.clock"
    assert refusal(FILES, tmp_path, max_age=1e9, now=NOW.replace(tzinfo=None)) == "audit.age.clock"


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "verifier" / "memory.json"


def test_memory_takes_growth_and_refuses_rollback(tmp_path, memory):
    log = Forged().grow(300)
    old = log.files()
    assert verify(old, tmp_path, memory=memory).remembered is None
    assert verify(old, tmp_path, memory=memory).remembered == 300
    log.grow(400)
    assert verify(log.files(), tmp_path, memory=memory).remembered == 300
    assert refusal(old, tmp_path, memory=memory) == "audit.history.rollback"
    assert verify(old, tmp_path).remembered is None
    assert memory.stat().st_mode & 0o777 == 0o600


def fork(size, count):
    log = Forged().grow(size - 1)
    log.add(n=-1)
    return log.grow(count)


def test_memory_refuses_a_split_view_and_a_rewritten_past(tmp_path, memory):
    verify(Forged().grow(300).files(), tmp_path, memory=memory)
    assert refusal(fork(300, 0).files(), tmp_path, memory=memory) == "audit.history.split_view"
    assert refusal(fork(300, 1).files(), tmp_path, memory=memory) == "audit.history.rewritten"
    assert refusal(fork(1, 500).files(), tmp_path, memory=memory) == "audit.history.rewritten"


def test_what_is_refused_is_not_remembered(tmp_path, memory):
    assert refusal(FILES, tmp_path, memory=memory, max_age=1, now=NOW) == "audit.age.stale"
    assert not memory.exists()


def test_memory_holds_a_log_to_its_key(tmp_path, memory):
    verify(FILES, tmp_path, memory=memory)
    other = Forged(key=OTHER_KEY, entries=BIG.entries)
    code = refusal(other.files(), tmp_path, memory=memory, vkey=other.vkey)
    assert code == "audit.history.key"


def successor(old: Forged, **changes):
    facts = {
        "previous_origin": old.origin,
        "previous_size": len(old.entries),
        "previous_root": old.checkpoint().root.hex(),
        "reason": "restored_backup",
    }
    return Forged(origin="log.example/next").add("log.continued", "", **{**facts, **changes})


def sentences(found):
    return " ".join(found.not_proven)


def test_a_log_that_continues_another(tmp_path, memory):
    old = Forged().grow(3)
    new = successor(old)
    found = verify(new.files(), tmp_path, vkey=new.vkey)
    assert (found.continues.origin, found.continues.size, found.continues.reason) == (
        ORIGIN,
        3,
        "restored_backup",
    )
    verify(old.files(), tmp_path, memory=memory)
    assert "ended" not in sentences(verify(new.files(), tmp_path, vkey=new.vkey, memory=memory))


def test_a_log_that_hides_the_end_of_the_one_before_it(tmp_path, memory):
    old = Forged().grow(3)
    new = successor(old)
    verify(old.grow(1).files(), tmp_path, memory=memory)
    assert refusal(new.files(), tmp_path, vkey=new.vkey, memory=memory) == "audit.history.continuation"


def test_a_log_that_misstates_the_one_before_it(tmp_path, memory):
    old = Forged().grow(3)
    verify(old.files(), tmp_path, memory=memory)
    new = successor(old, previous_root="ab" * 32)
    assert refusal(new.files(), tmp_path, vkey=new.vkey, memory=memory) == "audit.history.continuation"


def test_an_end_of_the_log_before_that_was_not_seen_is_said(tmp_path, memory):
    old = Forged().grow(3)
    verify(old.files(), tmp_path, memory=memory)
    new = successor(old.grow(1))
    assert "ended" in sentences(verify(new.files(), tmp_path, vkey=new.vkey, memory=memory))


def test_a_new_log_that_names_none_though_the_key_signed_others_is_said(tmp_path, memory):
    verify(FILES, tmp_path, memory=memory)
    new = Forged(origin="log.example/fresh").grow(1)
    assert "other log" in sentences(verify(new.files(), tmp_path, vkey=new.vkey, memory=memory))
    assert "other log" not in sentences(verify(new.files(), tmp_path, vkey=new.vkey, memory=memory))


@pytest.mark.parametrize(
    "changes",
    [
        {"previous_origin": 1},
        {"previous_size": -1},
        {"previous_size": "3"},
        {"previous_root": "ab"},
        {"previous_root": "x" * 64},
    ],
)
def test_a_first_entry_that_does_not_say_what_it_continues(tmp_path, changes):
    new = successor(Forged().grow(3), **changes)
    assert refusal(new.files(), tmp_path, vkey=new.vkey) == "audit.format.continuation"


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"logs":{"a":{}}}', b'{"logs":{"a":{"key":"x","size":1,"root":""}}}']
)
def test_a_damaged_memory_is_no_memory_to_trust(tmp_path, memory, data):
    memory.parent.mkdir(mode=0o700)
    memory.write_bytes(data)
    memory.chmod(0o600)
    assert refusal(FILES, tmp_path, memory=memory) == "audit.memory.unreadable"


def test_two_verifiers_at_once_never_forget_the_newer(tmp_path, memory):
    from assay.audit.memory import Memory

    small, large = Forged().grow(2), Forged().grow(5)
    Memory(memory).remember(large.checkpoint(), large.vkey)
    Memory(memory).remember(small.checkpoint(), small.vkey)
    assert Memory(memory).read()[ORIGIN].size == 5


def test_proofs_are_checked_against_the_entries(tmp_path):
    name = "consistency/300-701"
    lines = FILES[name].splitlines()
    wrong = base64.b64encode(bytes(32))
    for data, code in (
        (b"\n".join([wrong, *lines[1:]]) + b"\n", "audit.history.proof"),
        (b"\n".join(lines[1:]) + b"\n", "audit.history.proof"),
        (b"", "audit.history.proof"),
        (FILES[name][:-1], "audit.format.proof"),
        (b"!\n", "audit.format.proof"),
        (FILES[name].replace(b"=\n", b"x\n", 1), "audit.format.proof"),
        (b"AAAA\n", "audit.format.proof"),
    ):
        assert refusal({**FILES, name: data}, tmp_path) == code


def test_every_class_has_an_exit_code_of_its_own():
    assert sorted(EXIT_CODES.values()) == [10, 11, 12, 13, 14, 15]


def test_an_export_and_its_tar_are_the_same_tree(tmp_path):
    db, log = open_state(tmp_path / "state")
    with db:
        record(db, log, 3)
        log.export(tmp_path / "a", tar=False)
        record(db, log, 300)
        for name, tar in (("b", False), ("b.tar", True), ("c.tar", True)):
            log.export(tmp_path / name, tar=tar)
    assert (tmp_path / "b.tar").read_bytes() == (tmp_path / "c.tar").read_bytes()
    import tarfile

    with tarfile.open(tmp_path / "b.tar") as tar:
        members = tar.getmembers()
        assert [item.name for item in members] == sorted(item.name for item in members)
        assert {(item.mtime, item.uid, item.gid, item.mode, item.uname) for item in members} == {
            (0, 0, 0, 0o644, "")
        }
        tar.extractall(tmp_path / "d", filter="data")
    assert files_of(tmp_path / "d") == files_of(tmp_path / "b")
    assert "consistency/4-304" in files_of(tmp_path / "b")
