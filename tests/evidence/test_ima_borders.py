"""Entries of IMA logs in shapes that a mutation run found untested."""

from __future__ import annotations

import re
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.ima import FilePolicy, ImaSpecs, appraise_files, entries, from_ascii, verify_ima
from assay.evidence.ima.entries import ImaEntry, ImaLog, digest_algorithm, frames, template_fields
from assay.evidence.ledger import Outcome
from assay.simulator.tpm.device import spki
from support.tpm_scenes import keys

DIGEST = Algorithm.SHA1.digest(b"a file")


def entry(name: bytes, data: bytes, digest: bytes) -> bytes:
    return struct.pack("<I", 10) + digest + struct.pack("<I", len(name)) + name + data


def counted(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def test_formats_in_place_of_names():
    assert template_fields(b"d|n") == ("d", "n")
    assert template_fields(b"d-ng|n-ng|d-type") == ("d-ng", "n-ng", "d-type")
    assert template_fields(b"d|n|m") is None


def test_an_entry_of_the_oldest_template_ends_where_it_says():
    data = DIGEST + counted(b"/bin/sh")
    log = entry(b"ima", data, bytes(19) + b"\1") * 2
    bounds = [start for start, *_ in frames(log, Algorithm.SHA1)]
    assert bounds == [0, len(log) // 2]
    first, second = list(ImaLog(log, bounds, Algorithm.SHA1))
    assert first == second == ImaEntry(10, b"ima", data, violation=False)


def test_a_name_that_is_no_template_tells_no_algorithm():
    """Where SHA-1 would end, the digest of another algorithm may look like the length of a name."""
    digest = b"\7" * 20 + struct.pack("<I", 1) + b"\7" * 8
    name = b"ima-ng"
    data = counted(counted(b"sha256:\0" + bytes(32)) + counted(b"/x\0"))
    assert digest_algorithm(entry(name, data, digest)) is Algorithm.SHA256


@pytest.mark.parametrize("data", [b"\1\0\0", struct.pack("<I", 2) + b"x"])
def test_the_code_of_fields_that_are_cut(data):
    with pytest.raises(EvidenceError) as error:
        ImaEntry(10, b"ima-ng", data, violation=False).file()
    assert error.value.code == "ima.field"


# --- Fields, by hand


def fields(*values: bytes) -> bytes:
    return b"".join(counted(value) for value in values)


NG = b"sha256:\0" + bytes(31) + b"\1"
HASHED = bytes(31) + b"\1"
EVM = fields(NG, b"/x\0", b"evm", *[b""] * 6)


@pytest.mark.parametrize(
    ("template", "data", "found"),
    [
        (b"ima-ng", fields(NG, b"/x\0"), ("sha256", HASHED, False, b"", b"")),
        (b"ima-sig", fields(NG, b"/x\0", b"sig"), ("sha256", HASHED, False, b"sig", b"")),
        (b"ima-ngv2", fields(b"ima:" + NG, b"/x\0"), ("sha256", HASHED, False, b"", b"")),
        (b"ima-sigv2", fields(b"verity:" + NG, b"/x\0", b"sig"), ("sha256", HASHED, True, b"sig", b"")),
        (b"ima-buf", fields(NG, b"/x\0", b"buf"), ("sha256", HASHED, False, b"", b"buf")),
        (b"ima-modsig", fields(NG, b"/x\0", b"s", NG, b"m"), ("sha256", HASHED, False, b"s", b"")),
        (b"evm-sig", EVM, ("sha256", HASHED, False, b"", b"")),
        (b"d|n", fields(DIGEST, b"/x"), ("sha1", DIGEST, False, b"", b"")),
        (b"d|n|sig", fields(DIGEST, b"/x", b"sig"), ("sha1", DIGEST, False, b"sig", b"")),
    ],
)
def test_what_a_template_says_of_a_file(template, data, found):
    file = ImaEntry(10, template, data, violation=False).file()
    assert file.path == "/x"
    assert (file.algorithm, file.digest, file.verity, file.signature, file.buffer) == found


@pytest.mark.parametrize(
    ("template", "data"),
    [
        (b"n|d", fields(b"/x", DIGEST)),
        (b"n-ng|d-ngv2", fields(b"/x\0", b"ima:" + NG)),
        # Entries of ima-sig and evm-sig as a kernel measures them; what a file's owner wrote stands last.
        (b"sig|n|d", fields(NG, b"/x\0", b"\3" + DIGEST[1:])),
        (b"sig|n-ng|d-ng", fields(NG, b"/x\0", b"sha256:\0" + bytes(32))),
        (b"d-ng|n-ng|d-ng", fields(NG, b"/x\0", b"sha256:\0" + bytes(32))),
        (b"d-ng|n-ng|n-ng", fields(NG, b"/x\0", b"/y\0")),
    ],
)
def test_the_name_of_a_template_does_not_choose_which_field_is_the_digest(template, data):
    """Nothing covers that name: an attester can write another one without changing a register."""
    with pytest.raises(EvidenceError, match="where the kernel's have them") as error:
        ImaEntry(10, template, data, violation=False).file()
    assert error.value.code == "ima.field"


def test_an_entry_with_fewer_fields_than_its_template_says_nothing_of_a_file():
    with pytest.raises(EvidenceError, match="no digest or no name") as error:
        ImaEntry(10, b"ima-ng", fields(NG), violation=False).file()
    assert error.value.code == "ima.field"


@pytest.mark.parametrize("fields_", [127, 128])
def test_a_line_names_a_template_that_an_entry_can_name(fields_):
    """One field more would not fit a name, and each field costs the words of the line once more."""
    name = b"|".join([b"d", b"n", *[b"n"] * (fields_ - 2)]) + (b"-ng" if fields_ == 128 else b"")
    line = b"10 00 " + name + b" 00 /x\n"
    if len(name) <= 255:
        assert from_ascii(line)
    else:
        assert code_of(from_ascii, line) == "ima.ascii"


# ima_template.c, defined_templates and supported_fields.
DEFINED = {
    b"ima-ng": "d-ng|n-ng",
    b"ima-sig": "d-ng|n-ng|sig",
    b"ima-ngv2": "d-ngv2|n-ng",
    b"ima-sigv2": "d-ngv2|n-ng|sig",
    b"ima-buf": "d-ng|n-ng|buf",
    b"ima-modsig": "d-ng|n-ng|sig|d-modsig|modsig",
    b"evm-sig": "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
}


def test_templates_have_the_fields_that_the_kernel_gives_them():
    for name, format_ in DEFINED.items():
        assert template_fields(name) == template_fields(format_.encode()) == tuple(format_.split("|"))
    for name in (b"ima", b"ima-none", b"", b"d-ng|", b"\xff"):
        assert template_fields(name) is None


@pytest.mark.parametrize(
    "template", [b"n-ng", b"d-ng", b"d", b"n", b"d-ng|n", b"d|n-ng", b"d-ngv2|n", b"sig"]
)
def test_a_template_without_digest_or_name_says_nothing_of_a_file(template):
    data = fields(*[NG] * (template.count(b"|") + 1))
    with pytest.raises(EvidenceError, match="no digest or no name") as error:
        ImaEntry(10, template, data, violation=False).file()
    assert error.value.code == "ima.field"


@pytest.mark.parametrize(
    ("digest", "fits"),
    [
        (b"a" * 16 + b":\0" + bytes(64), True),
        (b"a:\0", True),
        (b"a" * 17 + b":\0", False),
        (b"a:\0" + bytes(65), False),
        (b":\0", False),
        (b"ima:a:\0", False),
        (b"\xff:\0", False),
        (b"a:", False),
        (b"sha256", False),
    ],
)
def test_the_name_of_an_algorithm(digest, fits):
    for template, head in ((b"ima-ng", b""), (b"ima-ngv2", b"ima:"), (b"ima-ngv2", b"verity:")):
        item = ImaEntry(10, template, fields(head + digest, b"/x\0"), violation=False)
        if fits:
            assert item.file().algorithm == digest.partition(b":")[0].decode()
            assert item.file().digest == digest.partition(b"\0")[2]
            continue
        with pytest.raises(EvidenceError, match="does not name its algorithm"):
            item.file()


def test_the_bound_of_a_path():
    for size in (4096, 4097):
        for template, data in (
            (b"ima-ng", fields(NG, b"x" * size + b"\0")),
            (b"d|n", fields(DIGEST, b"x" * size)),
            (b"ima", DIGEST + counted(b"x" * size)),
        ):
            item = ImaEntry(10, template, data, violation=False)
            if size == 4096:
                assert item.file().path == "x" * 4096
            else:
                with pytest.raises(EvidenceError, match="too long"):
                    item.file()


# --- Bounds of logs


def measured(data: bytes, algorithm: Algorithm = Algorithm.SHA1, *, register: int = 10) -> bytes:
    """Return an entry of ``ima-ng`` whose digest is the hash of its data."""
    head = struct.pack("<I", register) + algorithm.digest(data)
    return head + counted(b"ima-ng") + counted(data)


def code_of(read, *arguments) -> str:
    with pytest.raises(EvidenceError) as error:
        list(read(*arguments))
    return error.value.code


@pytest.mark.parametrize("size", [64 << 20, (64 << 20) + 1])
def test_the_bound_of_a_log(size):
    over = size > 64 << 20
    assert code_of(frames, bytes(size), Algorithm.SHA1) == ("ima.size" if over else "ima.template")
    text = bytes(size) if over else b"\n".ljust(size)
    assert code_of(from_ascii, text) == ("ima.size" if over else "ima.ascii")


@pytest.mark.parametrize(("name", "size"), [(b"n|" * 127 + b"n", 255), (b"n|" * 126 + b"n-ng", 256)])
def test_the_bound_of_a_name_of_a_template(name, size):
    assert len(name) == size
    assert template_fields(name)
    log = entry(name, counted(b""), DIGEST)
    if size == 255:
        assert [end for *_, end in frames(log, Algorithm.SHA1)] == [len(log)]
        assert digest_algorithm(log) is Algorithm.SHA1
    else:
        assert code_of(frames, log, Algorithm.SHA1) == "ima.template"
        assert code_of(digest_algorithm, log) == "ima.template"


def test_a_line_whose_digest_is_of_something_else_is_read_as_it_stands():
    """The replay refuses it, with a better reason than the reader has."""
    line = b"10 " + b"00" * 19 + b"07 ima-ng sha256:" + HASHED.hex().encode() + b" /x y\n"
    body = fields(NG, b"/x y\0")
    assert from_ascii(line) == struct.pack("<I", 10) + bytes(19) + b"\7" + counted(b"ima-ng") + counted(body)
    assert list(failures(judge(from_ascii(line), SHA256, {10: bytes(32)}))) == ["test.ima.template"]


def test_the_bound_of_a_name_in_the_oldest_template():
    for size in (255, 256):
        log = entry(b"ima", DIGEST + counted(b"x" * size), DIGEST)
        if size == 256:
            assert code_of(frames, log, Algorithm.SHA1) == "ima.template"
            continue
        ((start, register, digest, body, end),) = frames(log, Algorithm.SHA1)
        assert (start, register, digest, end) == (0, 10, DIGEST, len(log))
        assert body == DIGEST + b"x" * 255 + b"\0"


def test_every_cut_of_a_log_is_refused_by_the_entry_that_it_cuts():
    first = measured(fields(NG, b"/x\0"))
    log = first + entry(b"ima", DIGEST + counted(b"/bin/sh"), DIGEST)
    found = {}
    for size in {*range(1, len(log))} - {len(first)}:
        with pytest.raises(
            EvidenceError, match=f"at offset {len(first) if size > len(first) else 0}"
        ) as error:
            list(frames(log[:size], Algorithm.SHA1))
        found[size] = error.value.code
    assert {size for size, code in found.items() if code == "ima.template"} == {32, 33}  # "ima-", "ima-n"
    assert set(found.values()) == {"ima.template", "ima.truncated"}


def test_a_cut_in_the_last_entry_that_may_be_is_a_cut(monkeypatch):
    monkeypatch.setattr(entries, "MAX_ENTRIES", 2)
    part = measured(fields(NG, b"/x\0"))
    assert len(list(frames(part * 2, Algorithm.SHA1))) == 2
    assert code_of(frames, (part * 2)[:-1], Algorithm.SHA1) == "ima.truncated"
    assert code_of(frames, part * 3, Algorithm.SHA1) == "ima.entries"


# --- Verdicts


SPECS = ImaSpecs.of("test.ima")
SHA1, SHA256, SHA512 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA512


def replay(bank: Algorithm, *extended: bytes) -> bytes:
    value = bytes(bank.size)
    for digest in extended:
        value = bank.digest(value + digest)
    return value


def judge(log: bytes, bank: Algorithm, pcrs: dict[int, bytes], **options):
    return verify_ima(log, specs=SPECS, bank=bank, pcrs=pcrs, **options)


def failures(result) -> dict[str, str]:
    return {check.code: check.reason for check in result.checks if check.outcome is Outcome.FAILED}


BODIES = [fields(b"sha256:\0" + SHA256.digest(name), name + b"\0") for name in (b"/a", b"/b", b"/c")]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_entry_whose_digest_is_of_something_else_is_named(place):
    parts = [measured(body) for body in BODIES]
    parts[place] = parts[place][:-2] + b"z\0"
    pcrs = {10: replay(SHA256, *[SHA256.digest(body) for body in BODIES])}
    assert failures(judge(b"".join(parts), SHA256, pcrs)) == {
        "test.ima.template": f"The digest of entry {place} is not the hash of its template data."
    }


@pytest.mark.parametrize("bank", [SHA1, SHA256])
def test_a_log_of_another_machine_is_refused_in_every_bank(bank):
    result = judge(measured(BODIES[0]), bank, {10: replay(bank, bank.digest(b"something else"))})
    assert list(failures(result)) == ["test.ima.replay"]
    assert [(region.start, region.end) for region in result.unsigned] == [(0, len(measured(BODIES[0])))]


@pytest.mark.parametrize(("own", "bank"), [(SHA256, SHA512), (SHA512, SHA256), (SHA256, SHA1)])
def test_only_sha1_is_ever_padded(own, bank):
    """Kernels padded the one digest that they had, and that was SHA-1's."""
    padded = own.digest(BODIES[0]).ljust(bank.size, b"\0")[: bank.size]
    result = judge(measured(BODIES[0], own), bank, {10: replay(bank, padded)}, accept_padded=True)
    assert list(failures(result)) == ["test.ima.replay"]


def test_counts_and_regions_by_hand():
    """A violation, an entry of another PCR, two that are proven, one that is pending."""
    parts = [
        measured(BODIES[0]),
        measured(BODIES[1], register=11),
        struct.pack("<I", 10) + bytes(20) + counted(b"ima-ng") + counted(BODIES[2]),
        measured(BODIES[2]),
        measured(BODIES[1]),
    ]
    ends = [sum(map(len, parts[: count + 1])) for count in range(len(parts))]
    extended = [SHA256.digest(BODIES[0]), b"\xff" * 32, SHA256.digest(BODIES[2])]
    result = judge(b"".join(parts), SHA256, {10: replay(SHA256, *extended)})
    claims = result.claims
    assert claims is None
    assert list(failures(result)) == ["test.ima.boot_aggregate.missing"]
    first = fields(b"sha256:\0" + bytes(32), b"boot_aggregate\0")
    parts.insert(0, measured(first))
    ends = [len(parts[0]), *(len(parts[0]) + end for end in ends)]
    claims = judge(
        b"".join(parts), SHA256, {10: replay(SHA256, SHA256.digest(first), *extended)}, max_pending=1
    )
    found = claims.claims
    assert (len(found.entries), found.pending, found.skipped, found.violations) == (4, 1, 1, 1)
    assert (found.bank, found.padded) == (SHA256, False)
    assert [(region.start, region.end, region.name) for region in claims.unsigned] == [
        (ends[1], ends[2], "entry of a PCR that is not quoted"),
        (ends[2] + 4 + 20, ends[3], "what a violation says of itself"),
        (ends[4], ends[5], "pending entries"),
    ]
    assert [item.violation for item in found.entries] == [False, False, True, False]
    assert {item.register for item in found.entries} == {10}
    assert [check.outcome for check in claims.checks if check.id.endswith("aggregate")] == [
        Outcome.NOT_APPLICABLE
    ]


@pytest.mark.parametrize("count", [8, 9, 10])
def test_the_boot_aggregate_is_over_eight_pcrs_or_ten(count):
    values = {index: SHA256.digest(b"%d" % index) for index in range(10)}
    digest = SHA256.digest(b"".join(values[index] for index in range(count)))
    body = fields(b"sha256:\0" + digest, b"boot_aggregate\0")
    pcrs = values | {10: replay(SHA256, SHA256.digest(body))}
    codes = ["test.ima.boot_aggregate.mismatch"] if count == 9 else []
    assert list(failures(judge(measured(body), SHA256, pcrs))) == codes
    fewer = {index: value for index, value in pcrs.items() if index != 7}
    assert not failures(judge(measured(body), SHA256, fewer))


def test_a_first_entry_that_cannot_be_read_is_no_boot_aggregate():
    body = fields(b"sha256")
    result = judge(measured(body), SHA256, {10: replay(SHA256, SHA256.digest(body))})
    assert list(failures(result)) == ["test.ima.boot_aggregate.unreadable"]


@pytest.mark.parametrize("bank", [Algorithm.SM3_256, Algorithm.SHA3_256])
def test_banks_that_ima_does_not_extend(bank):
    assert list(failures(judge(measured(BODIES[0]), bank, {10: bytes(32)}))) == ["test.ima.bank"]
    assert list(failures(judge(measured(BODIES[0]), SHA256, {9: bytes(32)}))) == ["test.ima.bank"]


def test_sources_of_checks_are_files_of_the_kernel():
    known = {"ima_fs.c", "ima_template.c", "ima_queue.c", "ima_init.c", "ima_crypto.c"}
    named = {word for spec in SPECS.all for word in re.findall(r"\w+\.c\b", spec.source)}
    assert named == known
    assert [spec.id for spec in SPECS.all] == [
        f"test.ima.{name}"
        for name in ("layout", "template", "bank", "replay", "hash", "pending", "boot_aggregate")
    ]


# --- Signatures of files


@pytest.mark.parametrize(
    ("number", "name", "made"),
    [(4, "sha256", hashes.SHA256()), (5, "sha384", hashes.SHA384()), (6, "sha512", hashes.SHA512())],
)
def test_files_signed_under_each_hash(number, name, made):
    """``signature_v2_hdr``: type 3, version 2, hash, key id, size; big-endian."""
    key, content = keys("signer"), b"a program"
    digest = hashes.Hash(made)
    digest.update(content)
    value = digest.finalize()
    raw = key.sign(value, ec.ECDSA(Prehashed(made)))
    first = fields(b"sha256:\0" + bytes(32), b"boot_aggregate\0")
    policy = FilePolicy({}, frozenset({"/s"}), refuse_unknown=True, signers=(spki(key),))
    for stated, said in ((number, name), (number, "sha1"), (2, name), (7, name)):
        signature = b"\3\2" + bytes([stated]) + b"\xc0\xff\xee\0" + struct.pack(">H", len(raw)) + raw
        body = fields(said.encode() + b":\0" + value, b"/s\0", signature)
        log = measured(first) + entry(b"ima-sig", counted(body), SHA1.digest(body))
        pcrs = {10: replay(SHA256, SHA256.digest(first), SHA256.digest(body))}
        ledger = appraise_files(judge(log, SHA256, pcrs).claims, policy)
        expected = [] if (stated, said) == (number, name) else ["ima.files.unknown"]
        assert [check.code for check in ledger.failed()] == expected


# --- What a policy says when nothing is said


def claims_of(*items: tuple[str, bool]):
    """Return the claims of a log that names these files, each with whether it is a violation."""
    log, extended = measured(fields(b"sha256:\0" + bytes(32), b"boot_aggregate\0")), []
    extended.append(SHA256.digest(fields(b"sha256:\0" + bytes(32), b"boot_aggregate\0")))
    for path, violation in items:
        body = fields(NG, path.encode() + b"\0")
        head = struct.pack("<I", 10) + bytes(20) + counted(b"ima-ng") + counted(body)
        log += head if violation else measured(body)
        extended.append(b"\xff" * 32 if violation else SHA256.digest(body))
    return judge(log, SHA256, {10: replay(SHA256, *extended)}).claims


def appraised(policy: FilePolicy, *items: tuple[str, bool]) -> dict[str, str]:
    return {check.id: check.reason for check in appraise_files(claims_of(*items), policy).failed()}


def test_violations_are_refused_unless_a_policy_admits_them():
    assert appraised(FilePolicy({}, frozenset(), refuse_unknown=False), ("/var/log/x", True)) == {
        "ima.files.violations": "1 files: '/var/log/x'."
    }
    admitting = FilePolicy({}, frozenset(), refuse_unknown=False, admit_violations=True)
    assert appraised(admitting, ("/var/log/x", True)) == {}


def test_how_much_of_what_is_refused_is_shown():
    policy = FilePolicy({}, frozenset(), refuse_unknown=True)
    five = [(f"/{index}", False) for index in range(5)]
    assert appraised(policy, *five) == {"ima.files.unknown": "5 files: '/0', '/1', '/2', '/3', '/4'."}
    assert appraised(policy, *five, ("/5", False)) == {
        "ima.files.unknown": "6 files: '/0', '/1', '/2', '/3', '/4' and more."
    }
    assert appraised(policy, ("/" + "x" * 200, False)) == {"ima.files.unknown": f"1 files: '/{'x' * 199}'."}
    assert appraised(policy, ("/\u00e9\x1b", False)) == {"ima.files.unknown": "1 files: '/\\xe9\\x1b'."}


def test_what_is_ignored_is_neither_unknown_nor_required():
    policy = FilePolicy({}, frozenset({"/a"}), refuse_unknown=True, ignored=("/a", "/log/"))
    assert appraised(policy, ("/a", False), ("/log/x", False)) == {"ima.files.required": "1 files: '/a'."}
    assert appraised(policy, ("/b", False), ("/a", False)).keys() == {
        "ima.files.unknown", "ima.files.required"
    }  # fmt: skip
    nothing = FilePolicy({}, frozenset(), refuse_unknown=True)
    assert appraised(nothing, ("", False)) == {"ima.files.unknown": "1 files: ''."}


def test_no_name_excuses_a_violation():
    """A violation extends ones: its entry can name any file, and the register stays as it is."""
    policy = FilePolicy({}, frozenset(), refuse_unknown=True, ignored=("/log/",))
    assert appraised(policy, ("/log/x", True)) == {"ima.files.violations": "1 files: '/log/x'."}
    assert appraised(policy, ("boot_aggregate", True)).keys() == {"ima.files.violations"}


def test_a_violation_that_repeats_the_boot_aggregate_is_a_violation():
    first = fields(b"sha256:\0" + bytes(32), b"boot_aggregate\0")
    for name in (b"ima-ng", b"ima-sig"):
        log = measured(first) + entry(name, counted(first), bytes(20))
        claims = judge(log, SHA256, {10: replay(SHA256, SHA256.digest(first), b"\xff" * 32)}).claims
        for refuse_unknown in (True, False):
            ledger = appraise_files(claims, FilePolicy({}, frozenset(), refuse_unknown=refuse_unknown))
            assert [check.code for check in ledger.failed()] == ["ima.files.violations"]


def test_a_violation_is_no_boot_aggregate():
    """It says of itself which boot it is of, and extends ones."""
    values = {index: SHA256.digest(b"%d" % index) for index in range(8)}
    said = fields(b"sha256:\0" + SHA256.digest(b"".join(values.values())), b"boot_aggregate\0")
    pcrs = values | {10: replay(SHA256, b"\xff" * 32)}
    result = judge(entry(b"ima-ng", counted(said), bytes(20)), SHA256, pcrs)
    assert list(failures(result)) == ["test.ima.boot_aggregate.missing"]
    assert result.claims is None


@pytest.mark.parametrize("count", [64, 65])
def test_how_many_entries_may_follow_when_nothing_is_said(count):
    first = fields(b"sha256:\0" + bytes(32), b"boot_aggregate\0")
    log = measured(first) + measured(BODIES[0]) * count
    result = judge(log, SHA256, {10: replay(SHA256, SHA256.digest(first))})
    refused = {"test.ima.pending": "65 entries of the log are not in the quote."}
    assert failures(result) == (refused if count == 65 else {})
