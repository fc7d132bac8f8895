"""The text form of a Google VM's attestation is its binary form, to the last byte, or is refused."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.google_vm import read_container
from assay.evidence.google_vm.protobuf import ProtobufError, encode_bytes, encode_varint, read_message
from assay.evidence.google_vm.textproto import looks_like_text, to_binary
from assay.verification.opening import open_evidence
from support import vectors
from support.google_vm_scenes import TEES, judge, scene

# What each field is called and holds: a tuple is a message, a text the word of a number, b"" bytes.
KEY = (("key", 0), ("value", b""))
QUOTE = (
    ("quote", b""),
    ("raw_sig", b""),
    ("pcrs", (("hash", {0x4: "SHA1", 0xB: "SHA256", 0xC: "SHA384"}), ("pcrs", KEY))),
)
INSTANCE = tuple(
    (name, 0 if name in ("project_number", "instance_id") else b"")
    for name in ("zone", "project_id", "project_number", "instance_name", "instance_id")
)
SNP_NUMBERS = {
    *("version", "guest_svn", "policy", "vmpl", "signature_algo", "current_tcb", "platform_info"),
    *("signer_info", "reported_tcb", "committed_tcb", "current_build", "current_minor", "current_major"),
    *("committed_build", "committed_minor", "committed_major", "launch_tcb", "cpuid1eax_fms"),
    *("launch_mit_vector", "current_mit_vector"),
}
SNP_NAMES = """
version guest_svn policy family_id image_id vmpl signature_algo current_tcb platform_info signer_info
report_data measurement host_data id_key_digest author_key_digest report_id report_id_ma reported_tcb chip_id
committed_tcb current_build current_minor current_major committed_build committed_minor committed_major
launch_tcb signature cpuid1eax_fms launch_mit_vector current_mit_vector
"""
SNP = (
    ("report", tuple((name, 0 if name in SNP_NUMBERS else b"") for name in SNP_NAMES.split())),
    ("certificate_chain", tuple((name, b"") for name in ("vcek_cert", "ask_cert", "ark_cert"))),
)
ENCLAVE = """
cpu_svn misc_select reserved1 attributes mr_enclave reserved2 mr_signer reserved3 isv_prod_id isv_svn
reserved4 report_data
"""
BODY = """
tee_tcb_svn mr_seam mr_signer_seam seam_attributes td_attributes xfam mr_td mr_config_id mr_owner
mr_owner_config rtmrs report_data
"""
TD_NUMBERS = {"misc_select", "isv_prod_id", "isv_svn", "version", "attestation_key_type", "tee_type"}


def words(names: str):
    return tuple((name, 0 if name in TD_NUMBERS else b"") for name in names.split())


TYPED = (("certificate_data_type", 0), ("size", 0))
QE = (
    ("qe_report", words(ENCLAVE)),
    ("qe_report_signature", b""),
    ("qe_auth_data", (("parsed_data_size", 0), ("data", b""))),
    ("pck_certificate_chain_data", (*TYPED, ("pck_cert_chain", b""))),
)
SIGNED = (
    ("signature", b""),
    ("ecdsa_attestation_key", b""),
    ("certification_data", (*TYPED, ("qe_report_certification_data", QE))),
)
TD = (
    ("header", words("version attestation_key_type tee_type qe_svn pce_svn qe_vendor_id user_data")),
    ("td_quote_body", words(BODY)),
    ("signed_data_size", 0),
    ("signed_data", SIGNED),
    ("extra_bytes", b""),
)
WHOLE = (
    *(("ak_pub", b""), ("quotes", QUOTE), ("event_log", b""), ("instance_info", INSTANCE)),
    *(("canonical_event_log", b""), ("ak_cert", b""), ("intermediate_certs", b"")),
    *(("sev_snp_attestation", SNP), ("tdx_attestation", TD)),
)


def fields(data: bytes):
    """Yield number and value of each field of a message, in order."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return value

    while at < len(data):
        key = varint()
        value = varint()
        if key & 7 == 2:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            yield key >> 3, value


def quoted(value: bytes, chance: random.Random) -> str:
    """Write bytes as a tool might: what is printable as it is, and the rest in one of several escapes."""
    plain = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}

    def one(byte: int) -> str:
        if byte in plain:
            return plain[byte]
        return (
            chr(byte)
            if 0x20 <= byte < 0x7F
            else f"\\x{byte:02x}"
            if chance.random() < 0.5
            else f"\\{byte:03o}"
        )

    return '"' + "".join(map(one, value)) + '"'


def written(data: bytes, kind=WHOLE, depth: int = 0, chance: random.Random | None = None) -> str:
    """Write a container in text form."""
    chance = chance or random.Random(7)
    found = []
    for number, value in fields(data):
        name, inner = kind[number - 1]
        if isinstance(inner, tuple):
            text = f"{{\n{written(value, inner, depth + 1, chance)}{'  ' * depth}}}"
        elif isinstance(inner, dict):
            text = inner[value]
        else:
            text = quoted(value, chance) if isinstance(value, bytes) else str(value)
        colon = "" if text[:1] == "{" and chance.random() < 0.5 else ":"
        found.append(
            f"{'  ' * depth}{name}{colon}{chance.choice([' ', '  '])}{text}{chance.choice(['', ',', ';'])}\n"
        )
    return "".join(found)


@pytest.mark.parametrize("tee", TEES)
def test_the_text_form_is_the_binary_form_to_the_last_byte(tee):
    made = scene(tee).finish()
    text = written(made.container).encode()
    assert looks_like_text(text)
    assert to_binary(text) == made.container
    found = open_evidence(text)
    assert (found.platform, found.evidence) == ("gcp-vtpm", made.container)
    assert judge(made, evidence=found.evidence).bound


def test_a_real_attestation_survives_its_text_form():
    data = vectors.read("gcp-vtpm/go-tpm-tools/gce-cos-85-no-nonce.pb")
    assert to_binary(written(data).encode()) == data
    assert read_container(to_binary(written(data).encode())) == read_container(data)


def test_a_changed_text_is_changed_evidence():
    made = scene("none").finish()
    text = written(made.container)
    changed = re.sub(r'(instance_name: +")', r"\1x", text)
    assert changed != text
    result = judge(made, evidence=to_binary(changed.encode()))
    assert [check.code for check in result.ledger.failed()] == ["google_vm.ak.stated"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\x00\x1\xfF"', b"\x00\x01\xff"),
        (r'"\0\12\1234\377"', b"\x00\x0a\x534\xff"),
        (r'"\a\b\f\n\r\t\v\\\'\"\?"', b"\a\b\f\n\r\t\v\\'\"?"),
        (r'"\u00e9\U0001f600"', "\u00e9\U0001f600".encode()),
        ('"\u00e9"', "\u00e9".encode()),
        ('""', b""),
    ],
)
def test_escapes(text, value):
    assert read_message(to_binary(b'ak_pub: "" ak_cert: ' + text.encode()), {1: bytes, 6: bytes})[6] == [
        value
    ]


def test_numbers():
    text = b'ak_pub: "k" instance_info { project_number: 18446744073709551615 instance_id: 0 }'
    inner = encode_varint(3 << 3) + encode_varint((1 << 64) - 1) + encode_varint(5 << 3) + b"\0"
    assert to_binary(text) == encode_bytes(1, b"k") + encode_bytes(4, inner)


@pytest.mark.parametrize(("word", "number"), [("SHA1", 4), ("SHA256", 11), ("SHA384", 12), ("SHA512", 13)])
def test_banks_are_words(word, number):
    """TPM 2.0 Library part 2, section 6.3 (TPM_ALG_ID)."""
    pcrs = encode_bytes(3, encode_varint(1 << 3) + bytes([number]))
    text = f'ak_pub: "k" quotes: {{ pcrs {{ hash: {word} }} }}'
    assert to_binary(text.encode()) == encode_bytes(1, b"k") + encode_bytes(2, pcrs)


@pytest.mark.parametrize(
    "rest",
    [
        'unknown: "x"',
        "ak_cert: 7",
        "ak_cert: SHA256",
        "ak_cert { }",
        "ak_cert: {}",
        'ak_cert "x"',
        'ak_cert: "x" "y"',
        'ak_cert: "x" :',
        'ak_cert: "x",, event_log: "y"',
        'ak_cert: "x',
        'ak_cert: "x\ny"',
        r'ak_cert: "\q"',
        r'ak_cert: "\u12"',
        r'ak_cert: "\ud800"',
        r'ak_cert: "\U00110000"',
        r'ak_cert: "\400"',
        r'ak_cert: "\8"',
        r'ak_cert: "\x"',
        "ak_cert:",
        "ak_cert",
        "quotes: 7",
        'quotes: "x"',
        "quotes {",
        "quotes { quote: }",
        "quotes { pcrs { hash: 11x } }",
        "quotes { pcrs { hash: 11 } }",
        "quotes { pcrs { hash: MD5 } }",
        'quotes { pcrs { hash: "SHA256" } }',
        'quotes { ak_pub: "x" }',
        "instance_info { project_number: 18446744073709551616 }",
        "instance_info { project_number: -1 }",
        "instance_info { project_number: 0x10 }",
        'instance_info { project_number: "7" }',
        "}",
        "# a comment",
        '[x.y]: "z"',
        "intermediate_certs: [1]",
        "\xff",
    ],
)
def test_what_is_no_text_form_is_refused(rest):
    text = f'ak_pub: "k"\n{rest}'.encode("latin-1")
    assert looks_like_text(text)
    with pytest.raises(ProtobufError) as refused:
        to_binary(text)
    assert refused.value.code == "protobuf.malformed"
    with pytest.raises(EvidenceError) as refused:
        open_evidence(text)
    assert refused.value.code == "protobuf.malformed"


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("other: 7", "a field that is not known"),
        ("quotes: 7", "is no message"),
        ("ak_cert: 7", "a value of another kind"),
        ('ak_cert: "\\ud800"', "an escape of no character"),
        ('ak_cert: "\\U00110000"', "an escape of no character"),
        ('ak_cert: "\\777"', "an escape of no byte"),
    ],
)
def test_what_is_wrong_with_a_text_form_is_said(rest, why):
    with pytest.raises(ProtobufError, match=why):
        to_binary(f'ak_pub: "k" {rest}'.encode())


@pytest.mark.parametrize(("name", "number"), [("UNKNOWN", 0), ("MILAN", 1), ("GENOA", 2), ("TURIN", 3)])
def test_the_products_of_amd_are_words(name, number):
    text = f'ak_pub: "k" sev_snp_attestation: {{product: {{name: SEV_PRODUCT_{name} stepping: 2}}}}'
    product = encode_varint(1 << 3) + encode_varint(number) + encode_varint(2 << 3) + encode_varint(2)
    expected = encode_bytes(1, b"k") + encode_bytes(8, encode_bytes(3, product))
    assert to_binary(text.encode()) == expected


@pytest.mark.parametrize(
    ("field", "number", "value"),
    [
        ('firmware_cert: "f"', 4, b"f"),
        ('vlek_cert: "v"', 6, b"v"),
        ('extras: {key: "k" value: "v"}', 7, encode_bytes(1, b"k") + encode_bytes(2, b"v")),
    ],
)
def test_what_a_chain_of_amds_may_have_besides(field, number, value):
    text = f'ak_pub: "k" sev_snp_attestation {{ certificate_chain {{ {field} }} }}'
    expected = encode_bytes(1, b"k") + encode_bytes(8, encode_bytes(2, encode_bytes(number, value)))
    assert to_binary(text.encode()) == expected


def test_the_stepping_of_a_machine_is_a_message_of_its_own():
    text = b'ak_pub: "k" sev_snp_attestation {product {machine_stepping {value: 2}}}'
    product = encode_bytes(3, encode_varint(1 << 3) + encode_varint(2))
    assert to_binary(text) == encode_bytes(1, b"k") + encode_bytes(8, encode_bytes(3, product))


def test_other_text_is_not_taken_for_one():
    for text in (
        b"",
        b"ak_pub",
        b'"ak_pub": ""',
        b"quotes { }",
        json.dumps({"ak_pub": ""}).encode(),
        b"ak_pub: 7",
    ):
        assert not looks_like_text(text)


@given(st.text(st.sampled_from('{}:;,"\\x07anSHA _\n'), max_size=60))
def test_any_text_is_read_or_refused(rest):
    try:
        read_message(to_binary(b'ak_pub: "k" ' + rest.encode()), dict.fromkeys(range(1, 10), bytes))
    except ProtobufError as error:
        assert error.code == "protobuf.malformed"  # noqa: PT017 - whichever it is
