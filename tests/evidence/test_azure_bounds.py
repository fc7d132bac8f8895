"""How much Azure's evidence may hold, what of it is declared unsigned, and what is read from it: exactly."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import replace

import pytest

from assay.evidence.azure.forms import AzureError, VtpmQuote, read_bincode_quote, read_container
from assay.evidence.azure.hcl import parse_hcl
from assay.evidence.azure.runtime import RuntimeClaims, parse_runtime
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Expected, UnsignedRegion
from assay.simulator.azure.scene import runtime_claims
from assay.simulator.vtpm_pki import AIK_USAGE
from support.azure_scenes import AZURE, NONCE, NOW, PLATFORMS, judge, scene

# --- Containers


def members(platform, form):
    stage = scene(platform)
    if form == "bundle":
        stage.certify()
    stage.form = form
    return json.loads(stage.finish().container)


def numbers(size):
    return [7] * size


def digits(size):
    return "07" * size


def base64url(size):
    return base64.urlsafe_b64encode(bytes([7]) * size).decode()


# Form, where the part stands, how it is written, its greatest size, and a size that is refused.
PARTS = [
    ("azure-snp", "v0", ("report",), numbers, 4096, 4097),
    ("azure-snp", "v0", ("quote", "message"), numbers, 1024, 1025),
    ("azure-snp", "v0", ("quote", "signature"), numbers, 1024, 1025),
    ("azure-snp", "v0", ("quote", "pcrs", 23), numbers, 32, 33),
    ("azure-snp", "v2", ("hcl_report",), base64url, 4096, 4099),
    ("azure-snp", "v2", ("vcek",), base64url, 4096, 4099),
    ("azure-snp", "v1", ("tpm_quote", "message"), digits, 1024, 1025),
    ("azure-snp", "v1", ("tpm_quote", "signature"), digits, 1024, 1025),
    ("azure-snp", "v1", ("tpm_quote", "pcrs", 0), digits, 32, 33),
    ("azure-tdx", "v0", ("hcl_report",), numbers, 4096, 4097),
    ("azure-tdx", "v0", ("td_quote",), numbers, 131072, 131073),
    ("azure-tdx", "v1", ("hcl_report",), base64url, 4096, 4099),
    ("azure-tdx", "v1", ("td_quote",), base64url, 131072, 131074),
    ("azure-tdx", "bundle", ("hcl_report_base64",), base64url, 4096, 4099),
    ("azure-tdx", "bundle", ("tdx_quote_base64",), base64url, 131072, 131074),
]


@pytest.mark.parametrize(
    ("platform", "form", "path", "write", "most", "more"),
    PARTS,
    ids=["-".join(map(str, (*part[:2], *part[2]))) for part in PARTS],
)
def test_how_long_a_part_of_a_container_may_be(platform, form, path, write, most, more):
    found = members(platform, form)
    place = found
    for name in path[:-1]:
        place = place[name]
    for size, accepted in ((most, True), (more, False)):
        place[path[-1]] = write(size)
        data = json.dumps(found, separators=(",", ":")).encode()
        if not accepted:
            with pytest.raises(AzureError, match="at most"):
                read_container(data)
            continue
        parts = read_container(data)
        quote = parts.quote
        read = (parts.hcl, parts.td_quote, parts.vcek, quote.message, quote.signature, *quote.pcrs)
        assert bytes([7]) * size in read


def pem(size):
    text = base64.b64encode(bytes([7]) * size).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def test_how_long_the_text_of_a_certificate_may_be():
    found = members("azure-snp", "v0")
    found["vcek"] = pem(6009)
    assert len(found["vcek"]) == 8192
    assert read_container(json.dumps(found).encode()).vcek == bytes([7]) * 6009
    found["vcek"] = pem(6010)
    assert len(found["vcek"]) == 8196
    with pytest.raises(AzureError, match="at most 8192 characters"):
        read_container(json.dumps(found).encode())


@pytest.mark.parametrize(
    ("platform", "form", "versions"), [("azure-snp", "v2", {1, 2}), ("azure-tdx", "v1", {1, 2})]
)
def test_the_versions_of_a_container(platform, form, versions):
    found = members(platform, form)
    for version in range(4):
        data = json.dumps(found | {"version": version}).encode()
        if version in versions:
            read_container(data)
        else:
            with pytest.raises(AzureError, match="version is not known"):
                read_container(data)


def test_how_many_values_and_certificates_come_along():
    found = members("azure-snp", "v1")
    assert len(read_container(json.dumps(found).encode()).quote.pcrs) == 24
    bundle = members("azure-tdx", "bundle")
    attestation = bundle["tpm_attestation"]
    (certificate,) = attestation["ak_intermediate_certificates_pem"]
    attestation["ak_intermediate_certificates_pem"] = [certificate] * 4
    assert len(read_container(json.dumps(bundle).encode()).ak_intermediates) == 4


@pytest.mark.parametrize("name", ["ak_intermediate_certificates_pem", "event_log", "instance_info"])
def test_what_a_bundle_may_leave_out(name):
    bundle = members("azure-tdx", "bundle")
    del bundle["tpm_attestation"][name]
    parts = read_container(json.dumps(bundle).encode())
    assert parts.event_log == b""
    assert len(parts.ak_intermediates) == (name != "ak_intermediate_certificates_pem")
    assert parts.ak_certificate is not None


@pytest.mark.parametrize("name", ["ak_certificate_pem", "quote"])
def test_what_a_bundle_may_not_leave_out(name):
    bundle = members("azure-tdx", "bundle")
    del bundle["tpm_attestation"][name]
    with pytest.raises(AzureError, match="other members"):
        read_container(json.dumps(bundle).encode())


@pytest.mark.parametrize("lacking", ["signature", "message", "pcrs"])
def test_a_quote_without_one_of_its_members(lacking):
    found = members("azure-snp", "v1")
    del found["tpm_quote"][lacking]
    with pytest.raises(AzureError, match="other members"):
        read_container(json.dumps(found).encode())


def test_a_container_padded_to_its_bound_and_beyond():
    data = json.dumps(members("azure-snp", "v1")).encode()
    read_container(data.ljust(1 << 20))
    with pytest.raises(AzureError, match="longer than 1048576 bytes"):
        read_container(data.ljust((1 << 20) + 1))


def bincode(signature, message, pcrs):
    counts = [struct.pack("<Q", count) for count in (len(signature), len(message), len(pcrs))]
    return counts[0] + signature + counts[1] + message + counts[2] + b"".join(pcrs)


@pytest.mark.parametrize("size", [0, 1, 1024])
@pytest.mark.parametrize("count", [0, 1, 24])
def test_the_bounds_of_a_quote_in_bincode(size, count):
    part, pcrs = b"\7" * size, (b"\7" * 32,) * count
    assert read_bincode_quote(bincode(part, b"x", pcrs)) == VtpmQuote(b"x", part, pcrs)
    assert read_bincode_quote(bincode(b"x", part, pcrs)) == VtpmQuote(part, b"x", pcrs)


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ((1025, 1, 0), "out of bounds"),
        ((1, 1025, 0), "out of bounds"),
        ((1, 1, 25), "out of bounds"),
    ],
)
def test_a_quote_in_bincode_beyond_its_bounds(sizes, why):
    signature, message, count = sizes
    with pytest.raises(AzureError, match=why):
        read_bincode_quote(bincode(b"\7" * signature, b"\7" * message, (b"\7" * 32,) * count))


def test_a_quote_in_bincode_cut_anywhere_is_refused():
    data = bincode(b"signature", b"message", (b"\7" * 32,))
    for end in range(len(data)):
        with pytest.raises(AzureError, match=r"ends inside a length|out of bounds"):
            read_bincode_quote(data[:end])
    with pytest.raises(AzureError, match="something follows"):
        read_bincode_quote(data + b"\0")


# --- The HCL report


def hcl(runtime=b"{}", *, platform="azure-snp", version=2, padding=0):
    """Return an HCL report by the numbers of its layout."""
    size = 20 + len(runtime)
    header = b"HCLA" + struct.pack("<7I", version, 1216 + size, 2, 0, 0, 0, 0)
    hardware = b"\xee" * (1184 if platform == "azure-snp" else 1024)
    request = struct.pack("<5I", size, 1, 2 if platform == "azure-snp" else 4, 1, len(runtime))
    return header + hardware.ljust(1184, b"\0") + request + runtime + bytes(padding)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("version", [1, 2])
def test_an_hcl_report_is_taken_apart_at_its_offsets(platform, version):
    data = hcl(b"the claims", platform=platform, version=version, padding=5)
    found = parse_hcl(data, platform)
    assert found._asdict() == {
        "data": data,
        "version": version,
        "size": 1216 + 20 + 10,
        "request_type": 2,
        "platform": platform,
        "hash_name": "sha256",
        "hardware": data[32 : 32 + (1184 if platform == "azure-snp" else 1024)],
        "runtime": b"the claims",
    }
    assert found.end == 1236 + 10
    assert found.commitment() == hashlib.sha256(b"the claims").digest() + bytes(32)


@pytest.mark.parametrize("size", [1, 2048])
def test_the_shortest_and_the_longest_runtime_claims(size):
    assert parse_hcl(hcl(b"x" * size), "azure-snp").runtime == b"x" * size


def hcl_code(data):
    with pytest.raises(AzureError) as caught:
        parse_hcl(data, "azure-snp")
    return caught.value.code


def test_the_bounds_of_an_hcl_report():
    assert hcl_code(hcl(b"x" * 2049)) == "azure.hcl.length"
    assert hcl_code(hcl(b"")) == "azure.hcl.length"
    whole = hcl(b"x")
    assert hcl_code(whole[:1235]) == "azure.hcl.truncated"
    assert hcl_code(whole[:1236]) == "azure.hcl.truncated"
    room = 4096 - len(whole)
    assert parse_hcl(hcl(b"x", padding=room), "azure-snp").runtime == b"x"
    assert hcl_code(hcl(b"x", padding=room + 1)) == "azure.hcl.oversized"


@pytest.mark.parametrize("offset", [*range(0, 32, 4), *range(1216, 1236, 4)])
def test_every_word_outside_of_the_hardwares_report_counts(offset):
    """A word of header or request data that is one more than it should be is refused."""
    data = bytearray(hcl(b"x"))
    word = int.from_bytes(data[offset : offset + 4], "little") + 1
    if offset == 1228:  # another hash is another reading, which the hardware's report data decide on
        word = 4
    data[offset : offset + 4] = word.to_bytes(4, "little")
    assert hcl_code(bytes(data)).startswith("azure.hcl.")


# --- The runtime claims


def runtime(**changes):
    claims = runtime_claims(AZURE.ak_key(), b"data") | changes
    return json.dumps({name: value for name, value in claims.items() if value is not None}).encode()


def test_what_runtime_claims_are_read_as():
    claims = runtime_claims(AZURE.ak_key(), b"data")
    found = parse_runtime(runtime(**{"vm-configuration": {"a": 1, "b": "text", "c": True}}))
    assert found.claims == RuntimeClaims(
        ("HCLAkPub", "HCLEkPub"), ("sign",), {"a": 1, "b": "text", "c": True}, b"data".ljust(64, b"\0")
    )
    assert found.claims.setting("a") is None
    assert found.claims.setting("b") is None
    assert found.claims.setting("c") is True
    assert found.claims.setting("d") is None
    assert found.modulus == base64.urlsafe_b64decode(claims["keys"][0]["n"] + "==")
    assert found.key() == AZURE.ak_key().public_key()
    assert parse_runtime(runtime(**{"user-data": None})).claims.user_data is None


def test_the_bounds_of_runtime_claims():
    keys = runtime_claims(AZURE.ak_key(), None)["keys"]
    more = [{"kid": "k" * 128}, *({"kid": str(n)} for n in range(5))]
    assert parse_runtime(runtime(keys=keys + more)).claims.key_ids[-1] == "4"
    both = [keys[0] | {"key_ops": ["encrypt", "sign"]}, keys[1]]
    assert parse_runtime(runtime(keys=both)).claims.attestation_key_use == ("encrypt", "sign")
    settings = {"n" * 128: "v" * 128} | {f"s{n}": 0 for n in range(31)}
    assert len(parse_runtime(runtime(**{"vm-configuration": settings})).claims.vm_configuration) == 32
    refused = [
        runtime(keys=[*keys, *more, {"kid": "x"}]),
        runtime(keys=[*keys, {"kid": "k" * 129}]),
        runtime(**{"vm-configuration": settings | {"one more": 0}}),
        runtime(**{"vm-configuration": {"n" * 129: 0}}),
        runtime(**{"vm-configuration": {"name": "v" * 129}}),
        runtime(**{"vm-configuration": {"name": 1.5}}),
        runtime(**{"vm-configuration": {"\n": 0}}),
    ]
    for data in refused:
        with pytest.raises(AzureError) as caught:
            parse_runtime(data)
        assert caught.value.code == "azure.runtime.layout"


def test_how_often_the_attestation_key_may_say_its_use():
    keys = runtime_claims(AZURE.ak_key(), None)["keys"]
    with pytest.raises(AzureError) as caught:
        parse_runtime(runtime(keys=[keys[0] | {"key_ops": ["sign", "encrypt", "sign"]}]))
    assert caught.value.code == "azure.runtime.attestation_key.malformed"


def test_runtime_claims_of_2048_bytes():
    data = runtime()
    assert parse_runtime(data.ljust(2048)).claims.user_data is not None
    with pytest.raises(AzureError) as caught:
        parse_runtime(data.ljust(2049))
    assert caught.value.code == "azure.runtime.layout"


# --- What nothing covers


@pytest.mark.parametrize(("form", "name"), [("v1", "hcl_report"), ("bundle", "hcl_report_base64")])
def test_where_the_td_report_stands_in_base64(form, name):
    """From the character that holds the first of its bits to the one that holds the last."""
    stage = scene("azure-tdx")
    stage.form = form
    scenario = stage.finish()
    text = json.loads(scenario.container)[name].encode()
    at = scenario.container.index(text)
    first, last = 8 * 32, 8 * (32 + 1024)
    region = UnsignedRegion(at + first // 6, at + (last - 1) // 6 + 1, "TDREPORT of the HCL report")
    assert judge(scenario).unsigned == (region,)


def test_where_the_td_report_stands_among_numbers():
    """From the first digit of its first number to the comma behind its last."""
    stage = scene("azure-tdx")
    stage.form = "v0"
    scenario = stage.finish()
    values = json.loads(scenario.container)["hcl_report"]
    at = scenario.container.index(json.dumps(values).encode())
    before, until = (len(json.dumps(values[:count])) - 1 for count in (32, 32 + 1024))
    region = UnsignedRegion(at + before + 1, at + until + 1, "TDREPORT of the HCL report")
    assert judge(scenario).unsigned == (region,)
    assert json.loads(b"[" + scenario.container[region.start : region.end - 1] + b"]") == values[32:1056]


def test_what_nothing_covers_of_parts():
    stage = scene("azure-tdx")
    stage.certify()
    stage.intermediates = ()
    scenario = stage.finish()
    report = UnsignedRegion(32, 1056, "TDREPORT of the HCL report")
    assert judge(scenario, evidence=scenario.parts).unsigned == (
        report,
        UnsignedRegion(0, 0, "ak_certificate_pem: the whole part"),
        UnsignedRegion(0, 0, "ak_intermediate_certificates_pem: the whole part"),
    )
    bare = replace(scenario.parts, ak_certificate=None)
    assert judge(scenario, evidence=bare).unsigned == (report,)
    genuine = scene("azure-snp").finish()
    assert judge(genuine, evidence=genuine.parts).unsigned == ()
    assert judge(genuine).unsigned == ()


def test_where_certificates_that_lead_nowhere_stand():
    stage = scene("azure-tdx")
    stage.certify()
    stage.form, stage.intermediates = "bundle", ()
    container = stage.finish().container
    _, certificate, others = judge(stage.finish()).unsigned
    attestation = json.loads(container)["tpm_attestation"]
    assert certificate.name == "ak_certificate_pem"
    assert json.loads(container[certificate.start : certificate.end]) == attestation[certificate.name]
    assert others.name == "ak_intermediate_certificates_pem"
    assert container[others.start : others.end] == b"[]"


def test_of_what_cannot_be_read_everything_is_unsigned():
    scenario = scene().finish()
    result = judge(scenario, evidence=b"{}")
    assert result.unsigned == (UnsignedRegion(0, 2, "all of it: the evidence cannot be read"),)
    assert result.signed_digest == hashlib.sha256(b"{}").digest()
    broken = replace(scenario.parts, hcl=b"HCL")
    result = judge(scenario, evidence=broken)
    assert result.unsigned == ()
    assert result.signed_digest == hashlib.sha256(b"HCL" + broken.quote.message).digest()


# --- The certificate of the attestation key


def judged_certificate(stage):
    scenario = stage.finish()
    return judge(scenario, evidence=scenario.parts)


@pytest.mark.parametrize(("usages", "code"), [(16, ""), (17, "azure.ak.chain.malformed")])
def test_how_many_usages_a_certificate_may_have(usages, code):
    stage = scene("azure-tdx")
    stage.certify()
    stage.certificate.usages = (AIK_USAGE, *(f"1.3.6.1.4.1.{n}" for n in range(usages - 1)))
    result = judged_certificate(stage)
    assert result.ledger["azure.ak.chain"].code == code
    if not code:
        assert result.claims.ak_certificate is not None


@pytest.mark.parametrize(("between", "outcome"), [(3, Outcome.PASSED), (4, Outcome.NOT_APPLICABLE)])
def test_how_many_authorities_may_stand_between_key_and_root(between, outcome):
    stage = scene("azure-tdx")
    stage.certify()
    names = [f"Global Virtual TPM CA - 0{n}" for n in range(between)]
    stage.certificate.issuer = names[0]
    issuers = [*names[1:], stage.authority.issuer]
    drafts = []
    for subject, issuer in zip(names, issuers, strict=True):
        last = issuer == stage.authority.issuer
        signer = stage.authority.issuer_key if last else AZURE.authority_key
        drafts.append(replace(stage.authority, subject=subject, issuer=issuer, issuer_key=signer))
    stage.intermediates = tuple(draft.sign() for draft in drafts)
    result = judged_certificate(stage)
    assert result.ledger["azure.ak.chain"].outcome is outcome


@pytest.mark.parametrize(
    "name",
    [
        "0.ConfidentialVM.Azure.windows.net",
        "0123456789ab.ConfidentialVM.Azure.windows.net",
        "0123456789ab.ConfidentialVM.Azure.Microsoft",
    ],
)
def test_names_of_confidential_machines(name):
    stage = scene("azure-tdx")
    stage.certify()
    stage.certificate.subject = name
    claims = judged_certificate(stage).claims.ak_certificate
    assert (claims.common_name, claims.issuer) == (name, "Global Virtual TPM CA - 99")
    assert claims.fingerprint == hashlib.sha256(stage.certificate.sign()).digest()


@pytest.mark.parametrize(
    "name",
    [
        ".ConfidentialVM.Azure.windows.net",
        "0123456789AB.ConfidentialVM.Azure.windows.net",
        "0123456789ab.ConfidentialVM.Azure.windows.net.example",
        "0123456789ab.ConfidentialVM.Azure.windowsXnet",
        "0123456789ab.TrustedVM.Azure.windows.net",
    ],
)
def test_names_of_other_machines(name):
    stage = scene("azure-tdx")
    stage.certify()
    stage.certificate.subject = name
    assert judged_certificate(stage).ledger["azure.ak.chain"].code == "azure.ak.chain.name"


def test_zeros_behind_a_certificate_and_nothing_else():
    for behind, code in ((bytes(9), ""), (bytes(9) + b"\1", "azure.ak.layout")):
        stage = scene("azure-tdx")
        stage.certify()
        stage.behind_certificate = behind
        assert judged_certificate(stage).ledger["azure.ak.layout"].code == code


# --- The call, and what is shown


@pytest.mark.parametrize("size", [1, 64])
def test_how_long_a_nonce_may_be(size):
    stage = scene()
    stage.quote.extra_data = bytes([5]) * size
    assert judge(stage.finish(), binding=Expected(bytes([5]) * size)).bound


def test_the_time_and_everything_else_are_shown():
    stage = scene("azure-tdx")
    stage.quote.clock, stage.quote.reset_count, stage.quote.restart_count = 11, 12, 13
    stage.quote.firmware_version = 0x1234
    found = dict(judge(stage.finish(), at=NOW).decoded)
    claims = stage.claims
    assert found.pop("hardware")["version"] == 4
    assert found == {
        "hcl_version": 2,
        "hash": "sha256",
        "keys": ["HCLAkPub", "HCLEkPub"],
        "vm_configuration": claims["vm-configuration"],
        "user_data": claims["user-data"].lower(),
        "quote": {
            "extra_data": NONCE.hex(),
            "clock": 11,
            "reset_count": 12,
            "restart_count": 13,
            "safe": True,
            "firmware_version": "0000000000001234",
        },
    }


def test_what_was_read_and_verified_before_is_recalled():
    stage = scene("azure-tdx")
    stage.certify()
    scenario = stage.finish()
    facts = FactCache()
    first, second = (judge(scenario, evidence=scenario.parts, facts=facts).claims for _ in range(2))
    assert second.runtime is first.runtime
    assert second.ak_certificate is first.ak_certificate
    assert judge(scenario, evidence=scenario.parts).claims.runtime is not first.runtime


def test_a_certificate_that_was_verified_vouches_for_no_other():
    facts = FactCache()
    stage = scene("azure-tdx")
    for name in ("0a", "0b"):
        stage.certify()
        stage.certificate.subject = f"{name}.ConfidentialVM.Azure.windows.net"
        scenario = stage.finish()
        found = judge(scenario, evidence=scenario.parts, facts=facts).claims.ak_certificate
        assert found.common_name == stage.certificate.subject
    stage.certificate.issuer_key = AZURE.ak_key(" of another VM")
    scenario = stage.finish()
    assert not judge(scenario, evidence=scenario.parts, facts=facts).authentic


@pytest.mark.parametrize("gap", ["", "\n"])
def test_a_certificate_with_its_issuers_behind_it(gap):
    """Azure's metadata service gives the VCEK and its chain with blank lines between; some send all of it."""
    found = members("azure-snp", "v0")
    own = found["vcek"]
    found["vcek"] = gap.join([own, pem(30), pem(60), ""])
    parts = read_container(json.dumps(found).encode())
    assert parts.vcek == read_container(json.dumps({**found, "vcek": own}).encode()).vcek
    assert parts.vcek_issuers == (bytes([7]) * 30, bytes([7]) * 60)


@pytest.mark.parametrize(
    "text",
    [
        "",
        pem(30) * 4,
        pem(30) + "\n\n" + pem(30),
        "\n" + pem(30),
        pem(30) + " ",
        pem(30).replace("\n", "\n\n"),
    ],
    ids=["none", "four", "two blank lines", "blank line before", "space behind", "blank lines within"],
)
def test_what_is_no_chain_of_certificates(text):
    found = {**members("azure-snp", "v0"), "vcek": text}
    with pytest.raises(AzureError, match="no container of an Azure VM"):
        read_container(json.dumps(found).encode())
