"""Sizes, numbers and bounds of a TPM's structures, each tried on both sides of its limit."""

from __future__ import annotations

import base64
import json
import struct
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.tpm import checks
from assay.evidence.tpm.attest import Attest, AttestError, BankSelection
from assay.evidence.tpm.claims import TpmQuoteClaims
from assay.evidence.tpm.container import TpmEvidence
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.tpm.signature import Scheme, TpmSignature, rsassa, rsassa_signature
from assay.evidence.verification import Expected, Need, Unchecked, UnsignedRegion
from assay.simulator.tpm.device import AK_ATTRIBUTES, public_area, sized
from assay.simulator.tpm.machine import certificate
from support.tpm_scenes import AK_NAME, NONCE, NOW, ROOT_NAME, ak, draft, judge, keys, machine

SHA1, SHA256, SHA512 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA512


def refused(parse, data: bytes) -> str:
    with pytest.raises(EvidenceError) as found:
        parse(data)
    return found.value.code


# --- TPMS_ATTEST


def attest(
    *,
    magic=0xFF544347,
    kind=0x8018,
    signer=b"n" * 34,
    extra=b"e" * 32,
    safe=1,
    banks=None,
    select=((11, b"\x01\x80\x80"),),
    digest=b"d" * 32,
) -> bytes:
    clock = struct.pack(">QIIBQ", 0x0102030405060708, 9, 10, safe, 0x1112131415161718)
    chosen = b"".join(struct.pack(">HB", bank, len(bits)) + bits for bank, bits in select)
    count = struct.pack(">I", len(select) if banks is None else banks)
    head = struct.pack(">IH", magic, kind) + sized(signer) + sized(extra)
    return head + clock + count + chosen + sized(digest)


ONE = ((11, b"\x01\x80\x80"),)
SELECTIONS = {
    "one bank": (ONE, (BankSelection(11, (0, 15, 23)),)),
    "no bank": ((), ()),
    "one byte": (((11, b"\x81"),), (BankSelection(11, (0, 7)),)),
    "four bytes": (((11, b"\0\0\0\x81"),), (BankSelection(11, (24, 31)),)),
    "two banks": (((4, b"\0\0\0"), *ONE), (BankSelection(4, ()), BankSelection(11, (0, 15, 23)))),
    "an unknown bank": (((0x7FFF, b"\x01\0\0"),), (BankSelection(0x7FFF, (0,)),)),
    "eight banks": (ONE * 8, (BankSelection(11, (0, 15, 23)),) * 8),
}


@pytest.mark.parametrize(("select", "expected"), SELECTIONS.values(), ids=SELECTIONS)
@pytest.mark.parametrize("safe", [0, 1])
def test_every_field_of_a_quote_is_read_in_its_place(select, expected, safe):
    found = Attest.parse(attest(select=select, safe=safe))
    assert found == (
        b"n" * 34,
        b"e" * 32,
        0x0102030405060708,
        9,
        10,
        bool(safe),
        0x1112131415161718,
        expected,
        b"d" * 32,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signer": b""}, ""),
        ({"signer": b"n" * 68}, ""),
        ({"signer": b"n" * 69}, "truncated"),
        ({"extra": b""}, ""),
        ({"extra": b"e" * 64}, ""),
        ({"extra": b"e" * 65}, "truncated"),
        ({"digest": b""}, ""),
        ({"digest": b"d" * 64}, ""),
        ({"digest": b"d" * 65}, "truncated"),
        ({"select": ONE * 2, "digest": b"d" * 64}, ""),
        ({"select": ONE * 2, "digest": b"d" * 65}, "truncated"),
        ({"safe": 2}, "safe"),
        ({"safe": 255}, "safe"),
        ({"select": ONE * 8}, ""),
        ({"select": ONE * 9}, "banks"),
        ({"banks": 0xFFFFFFFF}, "banks"),
        ({"select": ((11, b""),)}, "selection"),
        ({"select": ((11, b"\x01"),)}, ""),
        ({"select": ((11, b"\x01\0\0\0"),)}, ""),
        ({"select": ((11, b"\x01\0\0\0\0"),)}, "selection"),
        ({"magic": 0xFF544346}, "magic"),
        ({"magic": 0x47435446}, "magic"),
        ({"kind": 0x8017}, "type"),
        ({"kind": 0x8019}, "type"),
    ],
)
def test_bounds_of_a_quote(changes, code):
    data = attest(**changes)
    if not code:
        Attest.parse(data)
        return
    with pytest.raises(AttestError) as found:
        Attest.parse(data)
    assert found.value.code == f"tpm.attest.{code}"
    assert found.value.part == (code if code in ("magic", "type") else "layout")


@pytest.mark.parametrize("select", [ONE, ONE * 2], ids=["one bank", "two banks"])
def test_a_quote_that_ends_early_or_late_is_refused(select):
    data = attest(select=select)
    for size in range(len(data)):
        expected = "tpm.attest.size" if size < 8 else "tpm.attest."
        assert refused(Attest.parse, data[:size]).startswith(expected), size
    for more in (b"\0", b"\0\0", b"\0" * 64):
        assert refused(Attest.parse, data + more) == "tpm.attest.trailing"
    assert refused(Attest.parse, data + bytes(1024 - len(data))) == "tpm.attest.trailing"
    assert refused(Attest.parse, data + bytes(1025 - len(data))) == "tpm.attest.size"


def test_what_is_cut_short_is_named():
    data = attest(select=ONE * 2)
    behind_selections = len(data) - 34
    for end in (behind_selections, behind_selections + 1, len(data) - 1):
        with pytest.raises(AttestError, match="pcrDigest"):
            Attest.parse(data[:end])
    for end in (42, 43, 44, 75):
        with pytest.raises(AttestError, match="extraData"):
            Attest.parse(data[:end])


# --- TPMT_SIGNATURE


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "size"),
        (struct.pack(">HHB", 0x14, 11, 0), "size"),
        (struct.pack(">HH", 0x14, 11) + sized(b""), ""),
        (struct.pack(">HH", 0x14, 11) + sized(b"s" * 594), ""),
        (struct.pack(">HH", 0x14, 11) + sized(b"s" * 595), "size"),
        (struct.pack(">HH", 0x14, 11) + sized(b"s" * 8)[:-1], "truncated"),
        (struct.pack(">HH", 0x14, 11) + sized(b"s" * 8) + b"\0", "trailing"),
        (struct.pack(">HH", 0x16, 11) + sized(b"s") * 2, "trailing"),
        (struct.pack(">HH", 0x18, 11) + sized(b"s") * 2, ""),
        (struct.pack(">HH", 0x18, 11) + sized(b"s"), "truncated"),
        (struct.pack(">HH", 0x18, 11) + sized(b"s") + b"\0", "truncated"),
        (struct.pack(">HH", 0x18, 11) + sized(b"s") + b"\0\0", ""),
        (struct.pack(">HH", 0x18, 11) + sized(b"s") + b"\0\x02s", "truncated"),
        (struct.pack(">HH", 0x18, 11) + sized(b"s") * 3, "trailing"),
        (struct.pack(">HH", 0x15, 11) + sized(b"s"), "scheme"),
        (struct.pack(">HH", 0x17, 11) + sized(b"s"), "scheme"),
        (struct.pack(">HH", 0x14, 0x12) + sized(b"s"), "hash"),
    ],
)
def test_bounds_of_a_signature(data, code):
    if code:
        assert refused(TpmSignature.parse, data) == f"tpm.signature.{code}"
    else:
        TpmSignature.parse(data)


@pytest.mark.parametrize(
    ("number", "algorithm"),
    [
        (0x04, Algorithm.SHA1),
        (0x0B, Algorithm.SHA256),
        (0x0C, Algorithm.SHA384),
        (0x0D, Algorithm.SHA512),
        (0x27, Algorithm.SHA3_256),
        (0x28, Algorithm.SHA3_384),
        (0x29, Algorithm.SHA3_512),
    ],
)
@pytest.mark.parametrize(
    ("scheme", "parts"),
    [(Scheme.RSASSA, (b"r",)), (Scheme.RSAPSS, (b"r",)), (Scheme.ECDSA, (b"r", b"sss"))],
)
def test_numbers_of_schemes_and_hashes(number, algorithm, scheme, parts):
    wire = {Scheme.RSASSA: 0x14, Scheme.RSAPSS: 0x16, Scheme.ECDSA: 0x18}[scheme]
    data = struct.pack(">HH", wire, number) + b"".join(map(sized, parts))
    assert TpmSignature.parse(data) == (scheme, algorithm, parts)


def test_the_header_of_a_bare_signature():
    assert rsassa_signature(b"abc", SHA256) == bytes.fromhex("0014000b0003616263")


@pytest.mark.parametrize("size", [1, 256, 594, 595])
def test_a_bare_signature_is_read_as_its_structure_is(size):
    raw = bytes(range(1, 256)) * 3
    raw = raw[:size]
    found = rsassa(raw, SHA256)
    if size < 595:
        assert found == TpmSignature.parse(rsassa_signature(raw, SHA256))
    else:  # too long to be read: whoever reads it says so
        assert found == rsassa_signature(raw, SHA256)
        assert refused(TpmSignature.parse, found) == "tpm.signature.size"


# --- TPMT_PUBLIC


@pytest.mark.parametrize("bit", range(32))
def test_attributes_by_their_bits(bit):
    """TPMA_OBJECT, part 2, section 8.3: what is not named is reserved."""
    names = {
        1: "FIXED_TPM",
        2: "ST_CLEAR",
        4: "FIXED_PARENT",
        5: "SENSITIVE_DATA_ORIGIN",
        6: "USER_WITH_AUTH",
        7: "ADMIN_WITH_POLICY",
        10: "NO_DA",
        11: "ENCRYPTED_DUPLICATION",
        16: "RESTRICTED",
        17: "DECRYPT",
        18: "SIGN",
        19: "X509_SIGN",
    }
    data = public_area(keys("ak"), attributes=1 << bit)
    if bit not in names:
        assert refused(AttestationKey.parse, data) == "tpm.public.malformed"
        return
    found = AttestationKey.parse(data)
    assert found.attributes.name == names[bit]
    required = {1: "fixedTPM", 4: "fixedParent", 5: "sensitiveDataOrigin", 16: "restricted", 18: "sign"}
    lacks = tuple(name for number, name in required.items() if number != bit)
    assert found.lacks == (*lacks, *(("not decrypt",) if bit == 17 else ()))


def rsa_public(bits: int, exponent: int) -> rsa.RSAPublicKey:
    """Return a key of a size, of which nobody knows the private half."""
    return rsa.RSAPublicNumbers(exponent, (1 << bits) - 1).public_key()


def rsa_area(bits: int, exponent: int, *, said: int | None = None) -> bytes:
    head = struct.pack(">HHI", 1, SHA256, AK_ATTRIBUTES) + sized(b"") + struct.pack(">HHH", 16, 0x14, 11)
    modulus = ((1 << bits) - 1).to_bytes((bits + 7) // 8, "big")
    return head + struct.pack(">HI", bits if said is None else said, exponent) + sized(modulus)


@pytest.mark.parametrize(
    ("bits", "exponent", "code"),
    [
        (2040, 65537, "weak"),
        (2047, 65537, "weak"),
        (2048, 65537, ""),
        (4096, 65537, ""),
        (4104, 65537, "weak"),
        (2048, 65535, "weak"),
        (2048, 3, "weak"),
        (2048, 65539, ""),
    ],
)
def test_sizes_of_rsa_keys(bits, exponent, code):
    key = rsa_public(bits, exponent).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if code:
        assert refused(AttestationKey.parse, key) == f"tpm.public.{code}"
    else:
        assert AttestationKey.parse(key).is_rsa
    if bits % 8:
        return
    if code:
        assert refused(AttestationKey.parse, rsa_area(bits, exponent)) == f"tpm.public.{code}"
    else:
        assert AttestationKey.parse(rsa_area(bits, exponent)).spki == key


def test_an_exponent_of_zero_is_the_usual_one():
    usual = rsa_public(2048, 65537).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert AttestationKey.parse(rsa_area(2048, 0)).spki == usual


@pytest.mark.parametrize(("bits", "said"), [(2048, 2047), (2048, 2056), (2049, 2049), (2049, 2056)])
def test_a_modulus_has_the_size_that_is_said(bits, said):
    assert refused(AttestationKey.parse, rsa_area(bits, 0, said=said)) == "tpm.public.malformed"


def test_bounds_of_a_public_key():
    assert refused(AttestationKey.parse, bytes(15)) == "tpm.public.size"
    assert refused(AttestationKey.parse, bytes(16)) == "tpm.public.kind"
    assert refused(AttestationKey.parse, bytes(1024)) == "tpm.public.kind"
    assert refused(AttestationKey.parse, bytes(1025)) == "tpm.public.size"


# --- Container


def section(kind: int, data: bytes) -> bytes:
    return struct.pack(">HI", kind, len(data)) + data


PCRS = b"\0\x0b\x01\x00" + bytes(32)
LEAST = ((1, b"a"), (2, b"s"), (5, PCRS))


def container(*more: tuple[int, bytes], without: int = 0) -> bytes:
    parts = sorted((*(part for part in LEAST if part[0] != without), *more), key=lambda part: part[0])
    return b"ASSAYTPM\0\x01" + b"".join(section(kind, data) for kind, data in parts)


def test_the_least_that_a_container_holds():
    found = TpmEvidence.parse(container())
    assert found == TpmEvidence(b"a", b"s", SHA256, {0: bytes(32)})
    assert found.encode() == container()
    assert found.places == {1: 16, 2: 23, 5: 30}


@pytest.mark.parametrize(("kind", "name"), [(1, "attest"), (2, "signature"), (5, "pcrs")])
def test_what_a_container_lacks_is_named(kind, name):
    with pytest.raises(EvidenceError, match=f"lacks its {name}") as found:
        TpmEvidence.parse(container(without=kind))
    assert found.value.code == "tpm.evidence.missing"


def test_a_head_alone_is_a_container_that_lacks_everything():
    assert refused(TpmEvidence.parse, b"ASSAYTPM\0\x01") == "tpm.evidence.missing"
    for data in (b"", b"ASSAYTPM\0", b"ASSAYTPM\0\x02", b"ASSAYTPN\0\x01"):
        assert refused(TpmEvidence.parse, data) == "tpm.evidence.magic"


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (1, 1024),
        (2, 1024),
        (3, 1024),
        (4, 8192),
        (5, 2048),
        (6, 4 << 20),
        (7, 4 << 20),
        (8, 64 << 20),
    ],
)
def test_bounds_of_sections(kind, most):
    """The size is looked at first: that a section ends behind the input is found after it."""
    head = b"ASSAYTPM\0\x01" + struct.pack(">H", kind)
    assert refused(TpmEvidence.parse, head + struct.pack(">I", 0)) == "tpm.evidence.size"
    assert refused(TpmEvidence.parse, head + struct.pack(">I", most)) == "tpm.evidence.truncated"
    assert refused(TpmEvidence.parse, head + struct.pack(">I", most + 1)) == "tpm.evidence.size"


def test_a_container_ends_behind_a_section():
    data = container((8, b"log"))
    without_log = len(container())
    for size in range(10, len(data)):
        if size == without_log:
            assert TpmEvidence.parse(data[:size]).ima_log == b""
        else:
            what = "missing" if size in (10, 17, 24) else "truncated"
            assert refused(TpmEvidence.parse, data[:size]) == f"tpm.evidence.{what}", size


def test_eight_certificates_and_no_ninth():
    assert TpmEvidence.parse(container(*[(4, b"c")] * 8)).certificates == (b"c",) * 8
    assert refused(TpmEvidence.parse, container(*[(4, b"c")] * 9)) == "tpm.evidence.certificates"


@pytest.mark.parametrize("pcrs", [b"\0", b"\0\x0b", b"\0\x0b\x01", b"\0\x0b\0", b"\0\x0b\x01\0" + bytes(31)])
def test_pcrs_that_are_cut_short(pcrs):
    assert refused(TpmEvidence.parse, container((5, pcrs), without=5)) == "tpm.evidence.pcrs"


def test_twenty_four_pcrs_and_no_more():
    def registers(count: int, first: int = 0) -> bytes:
        values = b"".join(bytes([first + index]) + bytes([index]) * 20 for index in range(count))
        return container((5, struct.pack(">HB", 4, count) + values), without=5)

    found = TpmEvidence.parse(registers(24))
    assert found.bank is SHA1
    assert found.pcrs == {index: bytes([index]) * 20 for index in range(24)}
    assert TpmEvidence.parse(registers(1, 23)).pcrs == {23: bytes(20)}
    assert refused(TpmEvidence.parse, registers(25)) == "tpm.evidence.pcrs"
    assert refused(TpmEvidence.parse, registers(1, 24)) == "tpm.evidence.pcrs"


def test_json_holds_at_most_24_pcrs_in_64_kib():
    def written(count: int, blanks: int = 0) -> bytes:
        quote = {"message": "YQ==", "signature": "cw==", "pcrs": ["00" * 32] * count}
        data = json.dumps({"ak_public": base64.b64encode(b"p").decode(), "tpm_quote": quote}).encode()
        return data + b" " * blanks

    found = TpmEvidence.from_json(written(24))
    assert found == TpmEvidence(b"a", b"s", SHA256, dict.fromkeys(range(24), bytes(32)), b"p")
    assert refused(TpmEvidence.from_json, written(25)) == "tpm.evidence.json"
    room = 65536 - len(written(24))
    assert TpmEvidence.from_json(written(24, room)) == found
    assert refused(TpmEvidence.from_json, written(24, room + 1)).startswith("json.")


# --- Verification


def test_the_checks_of_a_quote_have_these_names_in_this_order():
    """Policies and records of earlier verifications name them."""
    suffixes = (
        "layout",
        "magic",
        "type",
        "key",
        "key_attributes",
        "signature_layout",
        "scheme",
        "signature",
        "selection",
        "bank",
        "pcr_digest",
        "nonce",
    )
    assert [spec.id for spec in QuoteSpecs.of("a.quote").all] == [f"a.quote.{name}" for name in suffixes]
    ids = [spec.id for spec in checks.CHECKS]
    assert ids[:9] == [
        "tpm.evidence.layout",
        *(
            f"tpm.ak.{name}"
            for name in ("trust", "certificate", "root", "chain", "role", "validity", "revoked", "match")
        ),
    ]
    assert ids[9:20] == [f"tpm.quote.{name}" for name in suffixes[:-1]]
    assert ids[-1] == "tpm.quote.nonce"


@pytest.mark.parametrize(("size", "code"), [(31, "size"), (32, ""), (33, "size"), (20, "size"), (0, "size")])
def test_pcr_values_have_the_size_of_their_bank(size, code):
    """A container cannot say otherwise; the JSON of Confidential Containers can."""
    found = machine().evidence(NONCE, indices=range(3))
    values = [*found.pcrs.values()]
    values[1] = (values[1] + b"x")[:size]
    found.quote.digest = SHA256.digest(b"".join(values))
    quote = {
        "message": base64.b64encode(found.quote.attest()).decode(),
        "signature": base64.b64encode(found.quote.signature()).decode(),
        "pcrs": [value.hex() for value in values],
    }
    data = json.dumps({"ak_public": base64.b64encode(found.public).decode(), "tpm_quote": quote})
    failed = [check.code for check in judge(data.encode(), given=found.public).ledger.failed()]
    assert failed == ([f"tpm.quote.selection.{code}"] if code else [])


@pytest.mark.parametrize("count", [6, 7])
def test_a_chain_has_at_most_eight_certificates_below_its_root(count):
    """The caller's issuers are followed for so long: leaf, ``count`` of them and one under the root."""
    found = draft()
    found.certificates = (certificate(AK_NAME, ak("p256"), "CA 0", keys("ca 0"), authority=False),)
    issuers = [
        certificate(f"CA {n}", keys(f"ca {n}"), f"CA {n + 1}", keys(f"ca {n + 1}"), authority=True)
        for n in range(count)
    ]
    issuers.append(certificate(f"CA {count}", keys(f"ca {count}"), ROOT_NAME, keys("root"), authority=True))
    result = judge(found.encode(), issuers=tuple(issuers))
    failed = [check.id for check in result.ledger.failed()]
    assert failed == ([] if count == 6 else ["tpm.ak.root"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"now": NOW.replace(tzinfo=None)}, "evidence.call.time"),
        ({"binding": Expected(b"")}, "evidence.call.nonce"),
        ({"binding": SimpleNamespace(value=NONCE)}, "evidence.call.type"),
        ({"data": bytearray(b"ASSAYTPM")}, "evidence.call.type"),
        ({"data": "ASSAYTPM"}, "evidence.call.type"),
    ],
)
def test_errors_of_the_caller(arguments, code):
    given = {"data": draft().encode()} | arguments
    with pytest.raises(EvidenceError) as found:
        judge(given.pop("data"), **given)
    assert found.value.code == code


@pytest.mark.parametrize("data", [b"", b"x", b"{", b"ASSAYTPM\0\x01" + bytes(90)])
def test_nothing_of_a_container_that_cannot_be_read_is_relied_on(data):
    result = judge(data, binding=Unchecked("a test"))
    assert result.unsigned == (UnsignedRegion(0, len(data), "all of it: the container cannot be read"),)
    assert result.signed_digest == SHA256.digest(data)
    assert (result.anchor, result.needs, dict(result.decoded)) == (None, (), {})
    assert not result.authentic


def test_what_is_missing_is_said():
    found = draft()
    key = Need("ak", {}, "The attestation key, or a certificate for it, has to be given.")
    binding = Need("binding", {}, "The qualifying data were not compared with anything.")
    assert judge(found.encode(), given=found.public).needs == ()
    assert judge(found.encode()).needs == (key,)
    assert judge(found.encode(), binding=Unchecked("a test")).needs == (key, binding)
    unbound = judge(found.encode(), given=found.public, binding=Unchecked("a test"))
    assert unbound.needs == (binding,)
    nonce = unbound.ledger["tpm.quote.nonce"]
    assert (nonce.outcome, nonce.code) == (Outcome.NOT_CHECKED, "tpm.quote.nonce.unchecked")
    assert nonce.reason == "not checked: a test"
    assert unbound.authentic
    assert not unbound.bound


def test_what_is_shown_of_a_quote():
    found = draft()
    data = found.encode()
    assert dict(judge(data).decoded) == {
        "bank": "sha256",
        "pcrs": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14],
        "extra_data": NONCE.hex(),
        "clock": 1_000_000,
        "reset_count": 7,
        "restart_count": 0,
        "safe": True,
        "firmware_version": "2026010100000001",
    }
    place = data.index(found.quote.attest())
    spoilt = data[:place] + b"\0" + data[place + 1 :]
    assert set(judge(spoilt).decoded) == {"bank", "pcrs"}


def test_anchors():
    found = draft()
    given = judge(found.encode(), given=found.public, facts=FactCache()).anchor
    assert given.name == "attestation key given by the caller"
    assert given.fingerprint == AttestationKey.parse(found.public).digest
    assert (given.simulated, given.published_keys) == (True, False)
    certified = judge(draft(certified=True).encode()).anchor
    assert (certified.name, certified.simulated) == ("a test's TPMs", True)


def altered(made: TpmQuoteClaims, **changes) -> TpmQuoteClaims:
    values = {name: getattr(made, name) for name in type(made).__slots__}
    return type(made)(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"ak_digest": b"x" * 32}, "different attestation keys"),
        ({"reset_count": 4}, "reset count"),
        ({"reset_count": 6, "restart_count": 0}, None),
        ({"restart_count": 4}, "restart count"),
        ({"restart_count": 6}, None),
        ({"clock": 4}, "clock"),
        ({"clock": 4, "safe": False}, None),
        ({"clock": 6}, None),
    ],
)
def test_a_quote_that_cannot_follow_another(changes, said):
    data = draft()
    made = judge(data.encode(), given=data.public).claims.quote
    before = altered(made, reset_count=5, restart_count=5, clock=5)
    found = altered(before, **changes).gone_back(before)
    assert (found is None) if said is None else (said in found)


def test_each_log_is_read_without_the_others():
    # PCRs 10 and 14 are the kernel's and the launcher's: the firmware's log alone cannot explain them.
    told = {
        "firmware": (checks.LOG.replay, Outcome.FAILED, "tpm.log.replay.silent"),
        "kernel": (checks.IMA.replay, Outcome.PASSED, ""),
    }
    for kept, (spec, outcome, code) in told.items():
        found = draft(certified=True)
        for name in {"firmware", "launcher", "kernel"} - {kept}:
            setattr(found, name, None)
        check = judge(found.encode()).ledger[spec.id]
        assert (check.outcome, check.code) == (outcome, code)
    found = draft(certified=True)
    found.firmware = found.launcher = found.kernel = None
    result = judge(found.encode())
    assert {result.ledger[spec.id].outcome for spec, _, _ in told.values()} == {Outcome.NOT_APPLICABLE}


def test_what_was_readable_has_passed_when_the_quote_is_refused():
    found = draft(certified=True)
    found.quote.magic = 0
    result = judge(found.encode())
    assert result.ledger[checks.LAYOUT.id].outcome is Outcome.PASSED
    assert result.ledger.failed()


@pytest.mark.parametrize("cut", [1, 2, 9])
def test_a_public_area_that_is_cut_short(cut):
    area = draft().public
    assert AttestationKey.parse(area)
    with pytest.raises(EvidenceError) as caught:
        AttestationKey.parse(area[:-cut])
    assert caught.value.code == "tpm.public.malformed"
