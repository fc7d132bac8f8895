"""What tells one platform's evidence from another's, and how much of it has to be there. Made by hand."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from assay.verification.recognition import MAX_JSON_BYTES, recognise

SNP_BYTES = 1184
MAX_PAYLOAD = 1 << 16


def report(version: int, size: int = SNP_BYTES, algorithm: int = 1, around: int = 0) -> bytes:
    """Return the look of an SNP report; ``around`` fills the bytes beside the fields that are looked at."""
    data = bytearray([around]) * size
    data[:4] = version.to_bytes(4, "little")
    data[0x34:0x38] = algorithm.to_bytes(4, "little")
    return bytes(data)


def token(claims: dict[str, object], payload: int = 0, signature: str = "") -> bytes:
    """Return the look of a token, its payload filled up with a claim to a size in base64."""
    text = json.dumps(claims)
    if payload:
        text = json.dumps({**claims, "fill": ""})
        text = json.dumps({**claims, "fill": "x" * (payload * 3 // 4 - len(text))})
    body = urlsafe_b64encode(text.encode()).rstrip(b"=")
    return b"eyJhbGciOiJFUzI1NiJ9." + body + b"." + signature.encode()


@pytest.mark.parametrize(
    ("head", "platform"),
    [
        ("0300020000000000", "sgx"),
        ("0300020081000000", "sgx"),
        ("0400020000000000", "sgx"),
        ("0400020081000000", "tdx"),
        ("0500020081000000", "tdx"),
        ("0500020000000000", "sgx"),
        ("0400020001000000", None),
        ("0200020000000000", None),
        ("0600020081000000", None),
        ("04000200810000", None),
        ("", None),
        ("0400020081000000ff", "tdx"),
        ("0400ff0081000000", "tdx"),
        ("0400020000000000ff", "sgx"),
        ("0500ff0000000000ff", "sgx"),
        ("0400020081000001", None),
        ("0400020000000001", None),
        ("0300ff", None),
        ("0301020000000000", None),
    ],
)
def test_of_a_quotes_header_version_and_tee_type_count_alone(head: str, platform: str | None) -> None:
    assert recognise(bytes.fromhex(head)) == platform


@pytest.mark.parametrize(
    ("data", "platform"),
    [
        (report(0), "snp"),
        (report(31), "snp"),
        (report(32), None),
        (report(2, around=0xFF), "snp"),
        (report(2, SNP_BYTES + 1), "snp"),
        (report(3, SNP_BYTES + 1), "snp"),
        (report(5, SNP_BYTES + 1), "snp"),
        (report(1, SNP_BYTES + 1), None),
        (report(6, SNP_BYTES + 1), None),
        (report(2, SNP_BYTES - 1), None),
        (report(2, algorithm=0), None),
        (report(2, algorithm=2), None),
        (report(2, algorithm=1 << 24), None),
        (report(2 << 8), None),
    ],
)
def test_a_report_alone_may_be_of_a_version_to_come(data: bytes, platform: str | None) -> None:
    assert recognise(data) == platform


@pytest.mark.parametrize("start", [b"\xd2\x84\x44\xa1\x01\x38\x22", b"\x84\x44\xa1\x01\x38\x22"])
def test_documents_of_enclaves_and_of_nitrotpm_are_told_apart(start: bytes) -> None:
    marker = b"nitrotpm_pcrs"
    last = 4096 - len(start) - len(marker)
    for before, platform in ((0, "nitro-tpm"), (last, "nitro-tpm"), (last + 1, "nitro"), (4096, "nitro")):
        assert recognise(start + bytes(before) + marker) == platform
    assert recognise(start) == "nitro"
    assert recognise(start[:-1] + b"\x23") is None


@pytest.mark.parametrize(
    ("data", "platform"),
    [
        (b"\x11\xe0", "nvidia-gpu"),
        (b"\x11\xe1", None),
        (b"ASSAYTPM", "tpm"),
        (b"ASSAYTP", None),
        (b"\n\xffTCG\x80\x18", "gcp-vtpm"),
        (b"\n" + bytes(8192 - 7) + b"\xffTCG\x80\x18", "gcp-vtpm"),
        (b"\n" + bytes(8192 - 6) + b"\xffTCG\x80\x18", None),
        (b"\x0b\xffTCG\x80\x18", None),
        (b"\n\xffTCG\x80\x17", None),
    ],
)
def test_what_binary_evidence_begins_with(data: bytes, platform: str | None) -> None:
    assert recognise(data) == platform


CLAIMS: list[tuple[dict[str, object], str | None]] = [
    ({"x-ms-ver": "1.0"}, "maa"),
    ({"ver-x-ms-": "1.0"}, None),
    ({"iss": "https://confidentialcomputing.googleapis.com"}, "confidential-space"),
    ({"swname": "CONFIDENTIAL_SPACE"}, "confidential-space"),
    ({"swname": "GCE"}, None),
    ({"iss": "https://trustauthority.example"}, "trust-authority"),
    ({"attester_type": "TDX"}, "trust-authority"),
    ({"tdx_mrtd": ""}, "trust-authority"),
    ({"sgx_mrenclave": ""}, "trust-authority"),
    ({"iss": "https://example.org"}, None),
    ({"sub": "https://confidentialcomputing.googleapis.com"}, None),
    ({"iss": 7}, None),
    ({}, None),
]


@pytest.mark.parametrize(("claims", "platform"), CLAIMS)
@pytest.mark.parametrize("signature", ["", "a", "ab", "abc"])
def test_tokens_are_told_by_issuer_and_claims(claims, platform, signature) -> None:
    for fill in range(3):  # so that the payload ends wherever base64 can
        assert recognise(token({**claims, "f": "x" * fill}, signature=signature)) == platform


def test_a_token_has_three_parts_and_a_header_of_json() -> None:
    whole = token({"swname": "CONFIDENTIAL_SPACE"}, signature="abcd")
    assert recognise(b"\n" + whole) is None
    assert recognise(whole + b"\n") == "confidential-space"
    assert recognise(whole.rpartition(b".")[0]) is None
    assert recognise(whole + b".abcd") is None
    assert recognise(b"eyI" + whole[3:]) is None


@pytest.mark.parametrize("sizes", [(MAX_PAYLOAD, MAX_PAYLOAD + 4)])
def test_the_payload_of_a_token_is_looked_at_up_to_its_limit(sizes) -> None:
    fits, over = (token({"swname": "CONFIDENTIAL_SPACE"}, size) for size in sizes)
    assert [len(each.split(b".")[1]) for each in (fits, over)] == list(sizes)
    assert recognise(fits) == "confidential-space"
    assert recognise(over) is None


MEMBERS: list[tuple[object, str | None]] = [
    ([["JWT", "x"]], "nras"),
    ([["JWT"]], "nras"),
    ([["JWS", "x"]], None),
    ([["x", "JWT"]], None),
    ([[]], None),
    ([["x"], ["JWT"]], None),
    ([{"JWT": 1}], None),
    ([], None),
    ([7], None),
    ([{"arch": "", "evidence": "", "certificate": ""}], "nvidia-gpu"),
    ([{"arch": "", "evidence": "", "certificate": "", "nonce": ""}], "nvidia-gpu"),
    ([{"evidence": "", "certificate": ""}], None),
    ([{"arch": "", "certificate": ""}], None),
    ([{"arch": "", "evidence": ""}], None),
    ([7, {"arch": "", "evidence": "", "certificate": ""}], None),
    ({"device_evidence_list": []}, "nvidia-gpu"),
    ({"evidences": [], "result_code": 0}, "nvidia-gpu"),
    ({"evidence_list": [], "nonce": ""}, "nvidia-gpu"),
    ({"tpm_quote": {}, "ak_public": ""}, "tpm"),
    ({"hcl_report": "", "td_quote": ""}, "azure-tdx"),
    ({"tdx_quote_base64": "", "hcl_report_base64": ""}, "azure-tdx"),
    ({"hcl_report": "", "vcek": ""}, "azure-snp"),
    ({"quote": "", "report": "", "vcek": ""}, "azure-snp"),
]


@pytest.mark.parametrize(("value", "platform"), MEMBERS)
@pytest.mark.parametrize("before", ["", " \n"])
def test_containers_in_json_are_told_by_their_members(value, platform, before) -> None:
    assert recognise((before + json.dumps(value)).encode()) == platform
    if type(value) is dict:
        for name in value:
            rest = {each: said for each, said in value.items() if each != name}
            assert recognise(json.dumps(rest).encode()) is None


def test_a_container_in_json_is_looked_at_up_to_its_limit() -> None:
    document = b'{"device_evidence_list":[]}'
    assert recognise(document.ljust(MAX_JSON_BYTES)) == "nvidia-gpu"
    assert recognise(document.ljust(MAX_JSON_BYTES + 1)) is None
    assert MAX_JSON_BYTES == 2 << 20
