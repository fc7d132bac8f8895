"""IMA logs of every template, in both forms and every bank, against PCR 10; and policies over their files."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.ima import (
    FILE_CHECKS,
    FilePolicy,
    ImaSpecs,
    appraise_files,
    entries,
    files,
    from_ascii,
    verify_ima,
)
from assay.evidence.ledger import Outcome
from assay.simulator.tpm.device import SoftwareTpm, spki
from assay.simulator.tpm.logs import KernelLog, ascii_log, fields, file_data, legacy_data
from support.tpm_scenes import keys, rsa_key

SPECS = ImaSpecs.of("test.ima")
SHA1, SHA256, SHA384, SHA512 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384, Algorithm.SHA512
DIGEST = SHA256.digest(b"a file")
SIGNATURE = b"\x03\x02\x04" + bytes(6)

TEMPLATES = {
    "ima": (legacy_data("/bin/sh", SHA1.digest(b"a file")), f"{SHA1.digest(b'a file').hex()} /bin/sh"),
    "ima-ng": (file_data("/bin/sh", DIGEST), f"sha256:{DIGEST.hex()} /bin/sh"),
    "ima-sig": (
        file_data("/bin/sh", DIGEST, SIGNATURE),
        f"sha256:{DIGEST.hex()} /bin/sh {SIGNATURE.hex()}",
    ),
    "ima-ngv2": (file_data("/bin/sh", DIGEST, kind="ima"), f"ima:sha256:{DIGEST.hex()} /bin/sh"),
    "ima-sigv2": (
        file_data("/bin/sh", DIGEST, SIGNATURE, kind="verity"),
        f"verity:sha256:{DIGEST.hex()} /bin/sh {SIGNATURE.hex()}",
    ),
    "ima-buf": (
        file_data("kernel_cmdline", DIGEST, b"ro quiet"),
        f"sha256:{DIGEST.hex()} kernel_cmdline {b'ro quiet'.hex()}",
    ),
    "d-ng|n-ng": (file_data("/bin/sh", DIGEST), f"sha256:{DIGEST.hex()} /bin/sh"),
}


# Each template in binary form by the digest of its entries, and as text (None); the oldest has SHA-1 only.
FORMS = [
    (template, form)
    for template in TEMPLATES
    for form in (SHA1, SHA256, SHA384, SHA512, None)
    if template != "ima" or form in (SHA1, None)
]


def tpm() -> SoftwareTpm:
    return SoftwareTpm(keys("ak"), banks=(SHA1, SHA256, SHA384, SHA512))


def judge(log: bytes, device: SoftwareTpm, bank: Algorithm = SHA256, **options):
    return verify_ima(log, specs=SPECS, bank=bank, pcrs=device.pcrs(bank, range(11)), **options)


def outcome_of(result, name: str) -> tuple[Outcome, str]:
    check = next(check for check in result.checks if check.id == f"test.ima.{name}")
    return check.outcome, check.code


@pytest.mark.parametrize("bank", [SHA1, SHA256, SHA384, SHA512])
@pytest.mark.parametrize(("template", "form"), FORMS)
def test_every_template_replays_in_every_bank_and_form(template, bank, form):
    device, log = tpm(), KernelLog()
    log.begin(device)
    log.measure(device, template, TEMPLATES[template][0])
    if form is None:
        aggregate = SHA256.digest(b"".join(device.values[SHA256][i] for i in range(10)))
        lines = [f"sha256:{aggregate.hex()} boot_aggregate", TEMPLATES[template][1]]
        encoded = from_ascii(ascii_log(log.entries, lines))
    else:
        encoded = log.encode(form)
    result = judge(encoded, device, bank)
    assert result.claims, result.checks
    assert (len(result.claims.entries), result.claims.pending, result.claims.violations) == (2, 0, 0)
    found = result.claims.entries[1].file()
    assert found.path == ("kernel_cmdline" if template == "ima-buf" else "/bin/sh")
    assert found.algorithm == ("sha1" if template == "ima" else "sha256")
    assert found.verity is (template == "ima-sigv2")
    assert found.signature == (SIGNATURE if "sig" in template else b"")
    assert found.buffer == (b"ro quiet" if template == "ima-buf" else b"")
    assert not result.unsigned


def test_a_violation_extends_ones_and_shows_zeros():
    device, log = tpm(), KernelLog()
    log.begin(device)
    log.measure(device, "ima-ng", file_data("/var/log/x", bytes(32)), violation=True)
    for bank in device.banks:
        claims = judge(log.encode(), device, bank).claims
        assert claims.violations == 1
        assert [entry.violation for entry in claims.entries] == [False, True]


def test_kernels_before_5_8_pad_and_a_policy_may_admit_it():
    device, log = tpm(), KernelLog(padded=True)
    log.begin(device)
    log.measure(device, "ima-ng", file_data("/var/log/x", bytes(32)), violation=True)
    log.measure(device, "ima-ng", file_data("/bin/sh", DIGEST))
    refused = judge(log.encode(), device)
    assert outcome_of(refused, "hash") == (Outcome.FAILED, "test.ima.hash")
    assert refused.claims is None
    admitted = judge(log.encode(), device, accept_padded=True)
    assert admitted.claims.padded
    assert not judge(log.encode(), device, SHA1).claims.padded


@pytest.mark.parametrize("pending", [0, 1, 64])
def test_entries_behind_the_quote_are_pending(pending):
    device, log = tpm(), KernelLog()
    log.begin(device)
    quoted = device.pcrs(SHA256, range(11))
    for number in range(pending):
        log.measure(device, "ima-ng", file_data(f"/late/{number}", DIGEST))
    encoded = log.encode()
    result = verify_ima(encoded, specs=SPECS, bank=SHA256, pcrs=quoted)
    assert len(result.claims.entries) == 1
    assert result.claims.pending == pending
    assert [region.end for region in result.unsigned] == ([len(encoded)] if pending else [])
    narrow = verify_ima(encoded, specs=SPECS, bank=SHA256, pcrs=quoted, max_pending=pending - 1)
    assert outcome_of(narrow, "pending") == (Outcome.FAILED, "test.ima.pending")


def test_entries_of_pcrs_that_are_not_quoted_are_no_claims():
    device, log = tpm(), KernelLog()
    log.begin(device)
    log.measure(device, "ima-ng", file_data("/elsewhere", DIGEST), register=11)
    log.measure(device, "ima-ng", file_data("/bin/sh", DIGEST))
    result = judge(log.encode(), device)
    assert [entry.file().path for entry in result.claims.entries] == ["boot_aggregate", "/bin/sh"]
    assert result.claims.skipped == 1
    assert [region.name for region in result.unsigned] == ["entry of a PCR that is not quoted"]
    both = verify_ima(log.encode(), specs=SPECS, bank=SHA256, pcrs=device.pcrs(SHA256, range(12)))
    assert len(both.claims.entries) == 3


def test_a_boot_aggregate_of_another_bank_says_nothing():
    device, log = tpm(), KernelLog()
    log.begin(device, SHA1)
    result = judge(log.encode(), device)
    assert result.claims
    assert outcome_of(result, "boot_aggregate")[0] is Outcome.NOT_APPLICABLE


def test_a_boot_aggregate_over_pcrs_0_to_7_is_of_the_same_boot():
    device, log = tpm(), KernelLog()
    device.measure(8, b"a loader's command")
    digest = SHA256.digest(b"".join(device.values[SHA256][i] for i in range(8)))
    log.measure(device, "ima-ng", file_data("boot_aggregate", digest))
    assert outcome_of(judge(log.encode(), device), "boot_aggregate")[0] is Outcome.PASSED


def test_a_boot_aggregate_of_another_pcr_is_none():
    """Software extends PCR 16 with what it likes, and nothing proves where in the log that stood."""
    device, log = tpm(), KernelLog()
    log.measure(device, "ima-ng", TEMPLATES["ima-ng"][0])
    log.begin(device)
    log.measure(device, "ima-ng", log.entries[1].data, register=16)
    log.entries = [log.entries[2], log.entries[0], log.entries[1]]
    result = verify_ima(log.encode(), specs=SPECS, bank=SHA256, pcrs=device.pcrs(SHA256, range(17)))
    assert outcome_of(result, "replay")[0] is Outcome.PASSED
    assert outcome_of(result, "boot_aggregate") == (Outcome.FAILED, "test.ima.boot_aggregate.missing")
    assert result.claims is None


def test_no_log_is_nothing_to_check():
    result = judge(b"", tpm())
    assert {check.outcome for check in result.checks} == {Outcome.NOT_APPLICABLE}
    assert result.claims is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x0a\0\0\0", "template"),
        (struct.pack("<I20sI", 10, bytes(20), 0), "template"),
        (struct.pack("<I20sI", 10, bytes(20), 6) + b"ima-ng", "truncated"),
        (struct.pack("<I20sI", 10, bytes(20), 6) + b"ima-ng" + b"\xff\xff\xff\xff", "truncated"),
        (
            struct.pack("<I20sI", 10, bytes(20), 3) + b"ima" + bytes(20) + b"\0\x01\0\0" + bytes(256),
            "template",
        ),
        (struct.pack("<I20sI", 10, bytes(20), 3) + b"ima" + bytes(20) + b"\x05\0\0\0abcd", "truncated"),
        (struct.pack("<I20sI", 10, bytes(20), 5) + b"d-ng|" + fields(b""), "template"),
    ],
)
def test_a_malformed_log_is_refused_by_its_layout(data, code):
    assert outcome_of(judge(data, tpm()), "layout") == (Outcome.FAILED, f"test.ima.layout.{code}")


def test_bounds_come_first(monkeypatch):
    monkeypatch.setattr(entries, "MAX_IMA_BYTES", 100)
    device, log = tpm(), KernelLog()
    for _ in range(3):
        log.measure(device, "ima-ng", file_data("/bin/sh", DIGEST))
    assert outcome_of(judge(log.encode(), device), "layout")[1] == "test.ima.layout.size"
    with pytest.raises(EvidenceError, match="more than 100"):
        from_ascii(bytes(101))
    monkeypatch.undo()
    monkeypatch.setattr(entries, "MAX_ENTRIES", 2)
    assert outcome_of(judge(log.encode(), device), "layout")[1] == "test.ima.layout.entries"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"10 zz ima-ng sha256:00 /x",
        b"10 00 ima-none sha256:00 /x",
        b"24 00 ima-ng sha256:00 /x",
        b"-1 00 ima-ng sha256:00 /x",
        b"10 00 ima-ng sha256:00",
        b"10 00 ima-ng sha256 /x",
        b"10 00 ima-ng sha256:0 /x",
        b"ten 00 ima-ng sha256:00 /x",
        b"10 00 \xff sha256:00 /x",
        b"  9 00 ima-ng sha256:00 /x",
    ],
)
def test_a_malformed_line_is_refused_by_its_number(line):
    with pytest.raises(EvidenceError, match="Line 1") as refused:
        from_ascii(line + b"\n")
    assert refused.value.code == "ima.ascii"


def test_a_register_of_one_digit_follows_a_space():
    rest = b"00 ima-ng sha256:00 /x\n"
    assert from_ascii(b" 9 " + rest) == from_ascii(b"9 " + rest)
    assert from_ascii(b" 9 " + rest)[:4] == b"\x09\0\0\0"


def test_a_name_with_spaces_is_read_as_it_was_measured():
    device, log = tpm(), KernelLog()
    log.begin(device)
    log.measure(device, "ima-sig", file_data("/a b cafe", DIGEST, b""))
    aggregate = log.entries[0].data[12:44]
    lines = [f"sha256:{aggregate.hex()} boot_aggregate", f"sha256:{DIGEST.hex()} /a b cafe "]
    for text in (lines, [lines[0], lines[1].rstrip()]):
        claims = judge(from_ascii(ascii_log(log.entries, text)), device).claims
        assert claims.entries[1].file().path == "/a b cafe"


@pytest.mark.parametrize(
    "data",
    [
        b"\x05\0\0\0",
        b"\x01\0",
        fields(b"sha256" + DIGEST, b"/x\0"),
        fields(b"ima:sha256:\0" + DIGEST, b"/x\0"),
        fields(b":\0" + DIGEST, b"/x\0"),
        fields(b"sha256:\0" + bytes(65), b"/x\0"),
        fields(b"sha256:\0" + DIGEST, b"/x\0y\0"),
        fields(b"sha256:\0" + DIGEST, b"/" + b"x" * 4097),
        fields(b"sha256:\0" + DIGEST),
    ],
)
def test_a_measured_entry_whose_fields_make_no_sense_is_refused_by_the_policy(data):
    device, log = tpm(), KernelLog()
    log.begin(device)
    log.measure(device, "ima-ng", data)
    claims = judge(log.encode(), device).claims
    assert claims
    ledger = appraise_files(claims, FilePolicy({}, frozenset(), refuse_unknown=False))
    assert [check.code for check in ledger.failed()] == ["ima.files.readable"]


# --- The policy


def claims_of(*files_: tuple[str, bytes], violation: str = "", signed: dict | None = None):
    device, log = tpm(), KernelLog()
    log.begin(device)
    for path, content in files_:
        signature = (signed or {}).get(path, b"")
        log.measure(device, "ima-sig", file_data(path, SHA256.digest(content), signature))
    if violation:
        log.measure(device, "ima-ng", file_data(violation, bytes(32)), violation=True)
    return judge(log.encode(), device).claims


def listed(**contents: bytes) -> dict[str, frozenset[str]]:
    return {f"/{name}": frozenset({f"sha256:{SHA256.digest(data).hex()}"}) for name, data in contents.items()}


POLICY = FilePolicy(listed(a=b"1", b=b"2"), frozenset({"/a"}), refuse_unknown=True)


def failed(ledger) -> list[str]:
    return [check.id for check in ledger.failed()]


def test_listed_files_pass():
    ledger = appraise_files(claims_of(("/a", b"1"), ("/b", b"2")), POLICY)
    assert not ledger.unmet()
    assert [check.id for check in ledger] == [spec.id for spec in FILE_CHECKS]


def test_another_digest_of_a_listed_file_is_refused():
    assert failed(appraise_files(claims_of(("/a", b"1"), ("/b", b"3")), POLICY)) == ["ima.files.allowed"]


def test_a_listed_file_that_was_right_once_and_wrong_later_is_refused():
    found = claims_of(("/a", b"1"), ("/a", b"9"))
    assert failed(appraise_files(found, POLICY)) == ["ima.files.allowed"]


def test_an_unknown_file_is_refused_where_the_policy_says_so():
    found = claims_of(("/a", b"1"), ("/c", b"3"))
    assert failed(appraise_files(found, POLICY)) == ["ima.files.unknown"]
    open_policy = FilePolicy(POLICY.allowed, POLICY.required, refuse_unknown=False)
    assert not appraise_files(found, open_policy).failed()
    ignoring = FilePolicy(POLICY.allowed, POLICY.required, refuse_unknown=True, ignored=("/c",))
    assert not appraise_files(found, ignoring).failed()


def test_a_file_that_is_called_like_the_aggregate_of_the_boot_is_a_file():
    """The kernel names a file that it cannot reach from its root by its last name alone."""
    found = claims_of(("/a", b"1"), ("boot_aggregate", b"malice"))
    assert failed(appraise_files(found, POLICY)) == ["ima.files.unknown"]
    device, log = tpm(), KernelLog()
    log.begin(device)
    log.begin(device)  # a kernel that was started by kexec goes on with the log of the one before
    log.measure(device, "ima-sig", file_data("/a", SHA256.digest(b"1")))
    assert not appraise_files(judge(log.encode(), device).claims, POLICY).failed()


def test_a_file_that_must_be_measured_is_missed():
    assert failed(appraise_files(claims_of(("/b", b"2")), POLICY)) == ["ima.files.required"]


def test_a_violation_is_no_measurement():
    found = claims_of(("/a", b"1"), violation="/b")
    assert failed(appraise_files(found, POLICY)) == ["ima.files.violations"]
    found = claims_of(violation="/a")
    assert failed(appraise_files(found, POLICY)) == ["ima.files.violations", "ima.files.required"]


def test_violations_are_admitted_outside_the_list_only():
    admitting = FilePolicy(POLICY.allowed, POLICY.required, refuse_unknown=True, admit_violations=True)
    assert not appraise_files(claims_of(("/a", b"1"), violation="/var/log"), admitting).failed()
    found = claims_of(("/a", b"1"), violation="/b")
    assert failed(appraise_files(found, admitting)) == ["ima.files.violations"]


def test_many_files_are_counted_and_few_are_shown():
    found = claims_of(("/a", b"1"), *((f"/x\x1b{n}", b"") for n in range(9)))
    check = appraise_files(found, POLICY)["ima.files.unknown"]
    assert check.reason.startswith("9 files: ")
    assert "\x1b" not in check.reason
    assert check.reason.endswith("and more.")


def sign_file(key, content: bytes, *, number: int = 4, head: bytes = b"\x03\x02") -> bytes:
    digest, algorithm = SHA256.digest(content), Prehashed(hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        raw = key.sign(digest, ec.ECDSA(algorithm))
    else:
        raw = key.sign(digest, padding.PKCS1v15(), algorithm)
    return head + struct.pack(">BIH", number, 0xC0FFEE, len(raw)) + raw


def signer(key) -> FilePolicy:
    return FilePolicy({}, frozenset({"/s"}), refuse_unknown=True, signers=(spki(key),))


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_signed_file_is_known(kind):
    key = rsa_key() if kind == "rsa" else keys("signer")
    found = claims_of(("/s", b"1"), signed={"/s": sign_file(key, b"1")})
    assert not appraise_files(found, signer(key)).failed()
    assert failed(appraise_files(found, signer(keys("stranger")))) == ["ima.files.unknown"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: sign_file(key, b"2"),
        lambda key: sign_file(key, b"1") + b"\0",
        lambda key: sign_file(key, b"1", number=2),
        lambda key: sign_file(key, b"1", number=5),
        lambda key: sign_file(key, b"1", head=b"\x03\x03"),
        lambda key: sign_file(key, b"1", head=b"\x06\x02"),
        lambda key: b"\x03\x02\x04",
    ],
)
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_signature_of_another_kind_or_file_makes_nothing_known(spoil, kind):
    key = rsa_key() if kind == "rsa" else keys("signer")
    found = claims_of(("/s", b"1"), signed={"/s": spoil(key)})
    assert failed(appraise_files(found, signer(key))) == ["ima.files.unknown"]


@pytest.mark.parametrize("kind", ["no key", "RSA of 1024 bits"])
def test_a_signer_that_is_no_strong_key_is_an_error_of_the_caller(kind):
    weak = spki(rsa.generate_private_key(65537, 1024)) if kind.startswith("RSA") else b"no key"
    policy = FilePolicy({}, frozenset(), refuse_unknown=True, signers=(weak,))
    with pytest.raises(EvidenceError) as refused:
        appraise_files(claims_of(("/a", b"1")), policy)
    assert refused.value.code == "ima.policy.signer"


def test_the_checks_of_files_are_the_ones_that_are_declared():
    declared = (files.READABLE, files.VIOLATIONS, files.ALLOWED, files.UNKNOWN, files.REQUIRED)
    assert declared == FILE_CHECKS


# --- Properties


@given(
    st.lists(st.tuples(st.text("abc/ ", min_size=1, max_size=12), st.binary(max_size=8)), max_size=8),
    st.data(),
)
def test_every_cut_of_a_log_is_refused_or_proves_no_more_than_the_quote(measured, data):
    device, log = tpm(), KernelLog()
    log.begin(device)
    for path, content in measured:
        log.measure(device, "ima-ng", file_data(path, SHA256.digest(content)))
    encoded = log.encode()
    whole = judge(encoded, device)
    assert len(whole.claims.entries) == len(log.entries)
    at = data.draw(st.integers(0, len(encoded) - 1))
    assert judge(encoded[:at], device).claims is None
    flipped = bytearray(encoded)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    assert judge(bytes(flipped), device).claims is None


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(data):
    result = judge(data, tpm())
    assert result.claims is None
    assert len(result.checks) == len(SPECS.all)
