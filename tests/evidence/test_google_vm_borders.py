"""Bounds and needs of Google's virtual machines that a mutation run found untested."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from assay.evidence.decoding.der import DerError
from assay.evidence.google_vm import checks, read_container
from assay.evidence.google_vm.ak import read_instance
from assay.evidence.google_vm.container import (
    BankQuote,
    GoogleVmEvidence,
    StatedInstance,
    log_spans,
    tee_span,
)
from assay.evidence.google_vm.errors import GoogleVmError
from assay.evidence.google_vm.protobuf import ProtobufError, read_message
from assay.evidence.google_vm.snp_report import pack_processor, snp_part
from assay.evidence.google_vm.td_quote import td_quote
from assay.evidence.roots import Roots
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.verification import Expected, UnsignedRegion
from assay.simulator.amd import der
from assay.simulator.google_vm.scene import INSTANCE, instance_extension
from assay.simulator.vtpm_pki import CertificateDraft
from support.google_vm_scenes import GOOGLE, judge, scene


def test_the_bound_of_security_properties():
    for most in (16, 17):
        flags = [der.element(0xA0 + tag, der.TRUE) for tag in range(1, most + 1)]
        extension = instance_extension(INSTANCE, properties=der.element(der.SEQUENCE, *flags))
        if most == 16:
            assert len(read_instance(extension).flags) == 15
        else:
            with pytest.raises(DerError, match="not in order"):
                read_instance(extension)


def test_what_the_report_of_the_tee_needs_is_a_need_of_the_whole():
    scenario = scene("tdx").finish()
    assert not judge(scenario).needs
    lacking = replace(scenario.endorsements, collateral=None)
    needs = judge(scenario, endorsements=lacking).needs
    assert [need.kind for need in needs] == ["collateral"]


# --- Messages written by hand: a writer that shares its tables with the reader agrees with any of them


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def blob(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def message(fields: dict[int, int | bytes]) -> bytes:
    write = {int: number, bytes: blob}
    return b"".join(write[type(value)](field, value) for field, value in fields.items())


def refusal(read, data: bytes) -> str:
    with pytest.raises(ProtobufError) as caught:
        read(data)
    assert caught.value.code == "protobuf.malformed"
    return caught.value.message


# sevsnp.proto, Report, beside AMD's ATTESTATION_REPORT: field, name, place and size.
REPORT_NUMBERS = {
    1: ("version", 0x000, 4),
    2: ("guest_svn", 0x004, 4),
    3: ("policy", 0x008, 8),
    6: ("vmpl", 0x030, 4),
    7: ("signature_algo", 0x034, 4),
    8: ("current_tcb", 0x038, 8),
    9: ("platform_info", 0x040, 8),
    10: ("signer_info", 0x048, 4),
    18: ("reported_tcb", 0x180, 8),
    20: ("committed_tcb", 0x1E0, 8),
    21: ("current_build", 0x1E8, 1),
    22: ("current_minor", 0x1E9, 1),
    23: ("current_major", 0x1EA, 1),
    24: ("committed_build", 0x1EC, 1),
    25: ("committed_minor", 0x1ED, 1),
    26: ("committed_major", 0x1EE, 1),
    27: ("launch_tcb", 0x1F0, 8),
    30: ("launch_mit_vector", 0x1F8, 8),
    31: ("current_mit_vector", 0x200, 8),
}
REPORT_BLOBS = {
    4: ("family_id", 0x010, 16),
    5: ("image_id", 0x020, 16),
    11: ("report_data", 0x050, 64),
    12: ("measurement", 0x090, 48),
    13: ("host_data", 0x0C0, 32),
    14: ("id_key_digest", 0x0E0, 48),
    15: ("author_key_digest", 0x110, 48),
    16: ("report_id", 0x140, 32),
    17: ("report_id_ma", 0x160, 32),
    19: ("chip_id", 0x1A0, 64),
    28: ("signature", 0x2A0, 512),
}
ZEROS = {field: bytes(size) for field, (_, _, size) in REPORT_BLOBS.items()}


def report(fields: dict[int, int | bytes]) -> bytes:
    return snp_part(blob(1, message(ZEROS | fields))).report


@pytest.mark.parametrize(
    ("field", "place", "size"), [(field, *where[1:]) for field, where in REPORT_NUMBERS.items()]
)
def test_a_number_stands_in_the_report_where_amd_has_it(field, place, size):
    most = (1 << 8 * size) - 1
    assert report({field: most}) == bytes(place) + b"\xff" * size + bytes(1184 - place - size)
    first = 1 << 8 * (size - 1)
    assert report({field: first})[place : place + size] == bytes(size - 1) + b"\1"
    if size < 8:
        why = refusal(report, {field: most + 1})
        assert why == f"Field {field} of a report has more than {size} bytes."


@pytest.mark.parametrize(
    ("field", "place", "size"), [(field, *where[1:]) for field, where in REPORT_BLOBS.items()]
)
def test_bytes_stand_in_the_report_where_amd_has_them(field, place, size):
    assert report({field: b"\xff" * size}) == bytes(place) + b"\xff" * size + bytes(1184 - place - size)
    for wrong in (1, size - 1, size + 1):
        why = refusal(report, {field: bytes(wrong)})
        assert why == f"Field {field} of a report has {wrong} bytes, not {size}."


def test_a_report_has_no_other_fields():
    for field in (32, 0):
        assert "which is not known" in refusal(report, {field: 1})
    for field, value in [(field, b"x") for field in REPORT_NUMBERS] + [(field, 1) for field in REPORT_BLOBS]:
        assert "which is not known" in refusal(report, {field: value})


@pytest.mark.parametrize(
    ("packed", "family", "model", "stepping"),
    [
        (0x00A00F11, 0x19, 0x01, 1),  # Milan, as CPUID returns it
        (0x00A10F11, 0x19, 0x11, 1),  # Genoa
        (0x00B00F21, 0x1A, 0x02, 1),  # Turin
        (0x0F0F0FFF, 255, 255, 15),
        (0x00000F00, 15, 0, 0),
        (0x00000E00, 14, 0, 0),
    ],
)
def test_processors_as_cpuid_packs_them(packed, family, model, stepping):
    """APM volume 3, Fn0000_0001_EAX: above 15 the family is the sum of its two parts."""
    assert report({29: packed})[0x188:0x18B] == bytes((family, model, stepping))
    assert pack_processor(family, model, stepping) == packed


@pytest.mark.parametrize("packed", [0x0F100F00, 0x0FF00F00, 0x00100E00, 0x00001000, 0x10000F00])
def test_processors_that_cpuid_does_not_pack(packed):
    assert refusal(report, {29: packed}) == "The processor of a report is not written as CPUID does."


@pytest.mark.parametrize(("signer", "own", "other"), [(0, 1, 6), (1 << 2, 6, 1), (7 << 2, 1, 6), (1, 1, 6)])
def test_certificates_beside_a_report(signer, own, other):
    """``signer_info`` names the key: VCEK (0) or VLEK (1) in bits 2 to 4."""
    fields = message(ZEROS | ({10: signer} if signer else {}))
    chain = message({own: b"vek", 2: b"ask", 3: b"ark", other: b"another", 4: b"firmware"})
    chain += blob(7, b"extra") * 8
    part = snp_part(blob(1, fields) + blob(2, chain) + blob(3, b"product"))
    assert part.endorsements == SnpEndorsements(vek=b"vek", authority=b"ask", root=b"ark")
    whole = blob(1, fields) + blob(2, chain) + blob(3, b"product")
    assert {whole[start:end] for start, end in part.unused} == {
        blob(other, b"another"), blob(4, b"firmware"), blob(7, b"extra"), blob(3, b"product")
    }  # fmt: skip
    for more in (blob(2, chain + blob(7, b"extra")), blob(2, chain) + blob(3, b"") * 2):
        with pytest.raises(ProtobufError):
            snp_part(blob(1, fields) + more)


# tdx.proto, QuoteV4: every field with its size, in the order of the quote.
TD_HEADER = {1: 2, 2: 2, 3: 4, 4: b"a" * 2, 5: b"b" * 2, 6: b"c" * 16, 7: b"d" * 20}
TD_BODY = {
    1: b"e" * 16, 2: b"f" * 48, 3: b"g" * 48, 4: b"h" * 8, 5: b"i" * 8, 6: b"j" * 8,
    7: b"k" * 48, 8: b"l" * 48, 9: b"m" * 48, 10: b"n" * 48,
}  # fmt: skip
TD_RTMRS = (b"o" * 48, b"p" * 48, b"q" * 48, b"r" * 48)
TD_REPORT_DATA = b"s" * 64
QE_REPORT = {
    1: b"t" * 16, 2: 4, 3: b"u" * 28, 4: b"v" * 16, 5: b"w" * 32, 6: b"x" * 32, 7: b"y" * 32, 8: b"z" * 96,
    9: 2, 10: 2, 11: b"A" * 60, 12: b"B" * 64,
}  # fmt: skip


def td_message(
    header=TD_HEADER,
    body=TD_BODY,
    qe_report=QE_REPORT,
    *,
    rtmrs=TD_RTMRS,
    report_data=TD_REPORT_DATA,
    sizes=(0x01020304, 0x0506, 0x0708090A, 0x0B0C, 0x0D0E, 0x0F101112),
    signatures=(b"C" * 64, b"D" * 64, b"E" * 64),
) -> bytes:
    """Return a TD quote in fields; of each number the header gives its size, as value all ones."""
    auth = number(1, sizes[3]) + blob(2, b"auth")
    chain = number(1, sizes[4]) + number(2, sizes[5]) + blob(3, b"pem")
    qe = blob(1, _ones(qe_report)) + blob(2, signatures[2]) + blob(3, auth) + blob(4, chain)
    certification = number(1, sizes[1]) + number(2, sizes[2]) + blob(3, qe)
    signed = blob(1, signatures[0]) + blob(2, signatures[1]) + blob(3, certification)
    values = message(body) + b"".join(blob(11, value) for value in rtmrs) + blob(12, report_data)
    top = blob(1, _ones(header)) + blob(2, values) + number(3, sizes[0]) + blob(4, signed)
    return top + blob(5, b"behind")


def _ones(layout) -> bytes:
    return message({f: v if isinstance(v, bytes) else (1 << 8 * v) - 1 for f, v in layout.items()})


def _bytes(layout) -> bytes:
    return b"".join(value if isinstance(value, bytes) else b"\xff" * value for value in layout.values())


def test_a_td_quote_by_hand():
    """Each field once, in the order of Intel's quote, with the lengths that the quote states of itself."""
    assert td_quote(td_message()) == b"".join(
        (
            _bytes(TD_HEADER),
            _bytes(TD_BODY),
            *TD_RTMRS,
            TD_REPORT_DATA,
            bytes.fromhex("04030201"),
            b"C" * 64 + b"D" * 64,
            bytes.fromhex("0605 0a090807"),
            _bytes(QE_REPORT),
            b"E" * 64,
            bytes.fromhex("0c0b") + b"auth",
            bytes.fromhex("0e0d 1211100f") + b"pem",
            b"behind",
        )
    )
    assert len(td_quote(td_message())) == 48 + 584 + 4 + 128 + 6 + 384 + 64 + 2 + 4 + 6 + 3 + 6


@pytest.mark.parametrize("part", ["header", "body", "qe_report"])
def test_each_field_of_a_td_quote_has_its_size(part):
    layout = {"header": TD_HEADER, "body": TD_BODY, "qe_report": QE_REPORT}[part]
    for field, value in layout.items():
        sizes = (len(value) - 1, len(value) + 1) if isinstance(value, bytes) else (value + 1,)
        for size in sizes:
            wrong = b"x" * size if isinstance(value, bytes) else size
            data = td_message(**{part: layout | {field: wrong}})
            why = refusal(td_quote, data)
            if isinstance(value, bytes):
                assert why == f"Field {field} of a TD quote has {size} bytes, not {len(value)}."
            else:
                assert why == f"A number of a TD quote has more than {value} bytes."


@pytest.mark.parametrize("size", [63, 65])
def test_report_data_and_signatures_of_a_td_quote_have_64_bytes(size):
    whole = (b"C" * 64, b"D" * 64, b"E" * 64)
    assert "not 64" in refusal(td_quote, td_message(report_data=b"s" * size))
    for place in range(3):
        signatures = (*whole[:place], b"x" * size, *whole[place + 1 :])
        assert "not 64" in refusal(td_quote, td_message(signatures=signatures))


@pytest.mark.parametrize("place", range(6))
def test_lengths_that_a_td_quote_states_fit_their_places(place):
    widths = (4, 2, 4, 2, 2, 4)
    sizes = [(1 << 8 * width) - 1 for width in widths]
    assert td_quote(td_message(sizes=sizes))
    sizes[place] += 1
    why = refusal(td_quote, td_message(sizes=sizes))
    assert why == f"A number of a TD quote has more than {widths[place]} bytes."


@pytest.mark.parametrize(
    "rtmrs",
    [TD_RTMRS[:3], (*TD_RTMRS[:3], b"r" * 47), (*TD_RTMRS[:3], b"r" * 49), (b"o" * 47, *TD_RTMRS[1:])],
)
def test_a_td_quote_has_four_registers(rtmrs):
    assert refusal(td_quote, td_message(rtmrs=rtmrs)) == "A TD quote has four RTMRs of 48 bytes."
    with pytest.raises(ProtobufError, match="more than 4 times"):
        td_quote(td_message(rtmrs=(*TD_RTMRS, b"r" * 48)))


# --- The container


def quote(bank: int, pcrs: dict[int, bytes]) -> bytes:
    entries = b"".join(blob(2, number(1, index) + blob(2, value)) for index, value in pcrs.items())
    return blob(1, b"message") + blob(2, b"signature") + blob(3, number(1, bank) + entries)


def instance(zone: str = "zone", value: int = 7) -> bytes:
    return blob(1, zone.encode()) + blob(2, b"project") + number(3, value) + blob(4, b"name") + number(5, 9)


def test_a_container_by_hand():
    """attest.proto: every field of it, with quotes of two banks."""
    pcrs = {0: b"zero", 23: b"last"}
    data = blob(1, b"ak") + blob(2, quote(11, pcrs)) + blob(2, quote(4, {})) + blob(3, b"log")
    data += blob(4, instance()) + blob(5, b"canonical") + blob(6, b"certificate")
    data += blob(7, b"one") + blob(7, b"two") + blob(9, td_message())
    found = read_container(data)
    assert found == GoogleVmEvidence(
        ak_public=b"ak",
        quotes=(BankQuote(b"message", b"signature", 11, pcrs), BankQuote(b"message", b"signature", 4, {})),
        event_log=b"log",
        canonical_log=b"canonical",
        ak_certificate=b"certificate",
        ak_intermediates=(b"one", b"two"),
        instance=StatedInstance("zone", "project", 7, "name", 9),
        td_quote=td_quote(td_message()),
        snp=None,
    )
    start, end = tee_span(data)
    assert data[start:end] == td_message()
    least = read_container(b"")
    assert least == GoogleVmEvidence(b"", ())


@pytest.mark.parametrize(
    ("fits", "fits_not"),
    [
        (blob(2, quote(11, {})) * 4, blob(2, quote(11, {})) * 5),
        (blob(7, b"x") * 4, blob(7, b"x") * 5),
        (blob(2, quote(11, {23: b"x"})), blob(2, quote(11, {24: b"x"}))),
        (blob(2, quote(11, {0: b"x"})), blob(2, quote(11, {0: b"x"})[:-7] + b"\x08")),
        (blob(4, instance("z" * 128)), blob(4, instance("z" * 129))),
        (blob(4, instance(value=(1 << 64) - 1)), blob(4, instance(value=1 << 64))),
        (blob(4, instance("\u00e9")), blob(4, instance("\u200b"))),
        (blob(4, blob(1, b"z")), blob(4, blob(1, b"\xff"))),
        (blob(1, b"x" * ((8 << 20) - 5)), blob(1, b"x" * ((8 << 20) - 4))),
    ],
    ids=[
        "quotes", "intermediates", "PCR", "cut", "text", "number", "unprintable", "UTF-8", "container",
    ],
)  # fmt: skip
def test_what_just_fits_a_container(fits, fits_not):
    assert read_container(fits)
    with pytest.raises(GoogleVmError) as caught:
        read_container(fits_not)
    assert caught.value.code == "google_vm.container.layout"
    assert caught.value.spec is checks.CONTAINER


def test_a_pcr_stands_once():
    entry = blob(2, number(1, 7) + blob(2, b"x"))
    for entries, fits in ((entry, True), (entry * 2, False)):
        data = blob(2, blob(3, number(1, 11) + entries))
        if fits:
            assert dict(read_container(data).quotes[0].pcrs) == {7: b"x"}
        else:
            with pytest.raises(GoogleVmError, match="PCR 7 stands twice"):
                read_container(data)


def test_the_bound_of_fields():
    assert read_message(b"\x08\x01" * 4096, {1: int}) == {1: [1] * 4096}
    with pytest.raises(ProtobufError, match="more than 4096 fields") as caught:
        read_message(b"\x08\x01" * 4097, {1: int})
    assert caught.value.code == "protobuf.oversized"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x80\x01", 128),
        (b"\xff" * 8 + b"\x7f", (1 << 63) - 1),
        (b"\xff" * 9 + b"\x01", (1 << 64) - 1),
        (b"\xff" * 9 + b"\x02", None),
        (b"\x80" * 9 + b"\x01", 1 << 63),
        (b"\x80" * 10 + b"\x01", None),
        (b"\x80\x00", None),
        (b"\x80", None),
        (b"", None),
    ],
)
def test_numbers_by_hand(data, value):
    if value is None:
        assert refusal(lambda data: read_message(b"\x08" + data, {1: int}), data)
    else:
        assert read_message(b"\x08" + data, {1: int}) == {1: [value]}
        assert read_message(b"\x08" + data + b"\x08\x01", {1: int}) == {1: [value, 1]}


@pytest.mark.parametrize("key", [0x09, 0x0B, 0x0C, 0x0D, 0x0A, 0x10])
def test_wire_types_that_are_not_known(key):
    why = refusal(lambda data: read_message(data, {1: int}), bytes([key, 1]))
    assert why == f"A message has field {key >> 3} of wire type {key & 7}, which is not known."


def test_what_the_quote_says_is_shown():
    scenario = scene().finish()
    result = judge(scenario)
    shown, claims = result.decoded["quote"], result.claims.tpm
    assert shown == {
        "extra_data": scenario.nonce.hex(),
        "clock": claims.clock,
        "reset_count": claims.reset_count,
        "restart_count": claims.restart_count,
        "safe": claims.safe,
        "firmware_version": f"{claims.firmware_version:016x}",
    }
    assert result.decoded.keys() == {"quote"}


@pytest.mark.parametrize(("tee", "name"), [("tdx", "td"), ("snp", "snp")])
def test_what_the_report_of_the_tee_says_is_shown(tee, name):
    assert judge(scene(tee).finish()).decoded.keys() == {"quote", name}


# --- The certificate, and what is said of the whole


@pytest.mark.parametrize("field", ["zone", "project_id", "project_number", "instance_name", "instance_id"])
def test_each_value_of_the_stated_instance_is_compared(field):
    stage = scene()
    value = getattr(INSTANCE, field)
    stage.stated = replace(INSTANCE, **{field: value + (1 if isinstance(value, int) else "x")})
    (check,) = judge(stage.finish()).ledger.failed()
    assert check.code == "google_vm.ak.stated"


def test_the_longest_values_of_an_instance():
    longest = replace(INSTANCE, zone="z" * 128, instance_name="n" * 128, project_number=(1 << 64) - 1)
    found = read_instance(instance_extension(longest))
    assert (found.zone, found.instance_name) == ("z" * 128, "n" * 128)
    assert (found.project_id, found.project_number) == ("a-project", (1 << 64) - 1)
    for wrong in ({"zone": "z" * 129}, {"project_number": 1 << 64}, {"instance_id": 1 << 64}):
        with pytest.raises(DerError):
            read_instance(instance_extension(replace(INSTANCE, **wrong)))


@pytest.mark.parametrize("first", [True, False])
def test_of_two_roots_of_one_name_the_key_decides(first):
    draft = CertificateDraft(
        "EK/AK CA Root", "EK/AK CA Root", GOOGLE.key("other"), GOOGLE.key("other"), authority=True
    )
    scenario = scene().finish()
    other = ("google-vtpm", draft.sign())
    anchors = (other, *scenario.anchors) if first else (*scenario.anchors, other)
    roots = Roots.vendor()
    for place, (family, der_) in enumerate(anchors):
        roots = roots.with_anchor(f"simulated {place}", der_, vendor=family)
    assert judge(scenario, roots=roots).bound


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("tpm_ek_v1_cloud_host-signer-0-2020", True),
        ("tpm_ek_v1_cloud_host-signer-0", True),
        ("tpm_ek_v1_cloud_host-signer-", False),
        ("EK/AK CA Intermediate 2", False),
    ],
    ids=["old", "short", "empty", "another"],
)
def test_names_of_authorities(name, fits):
    stage = scene()
    stage.authority.subject = stage.certificate.issuer = name
    stage.crls = []
    codes = [check.code for check in judge(stage.finish()).ledger.failed()]
    assert codes == ([] if fits else ["google_vm.ak.chain.name"])


@pytest.mark.parametrize("count", [0, 3, 4])
def test_the_longest_chain(count):
    stage = scene()
    names = [f"tpm_ek_v1_cloud_host-signer-{place}" for place in range(count)]
    keys = ["authority"] * count
    issuers = list(zip(["EK/AK CA Root", *names], ["root", *keys], strict=True))
    stage.intermediates = tuple(
        CertificateDraft(
            name, issuer, GOOGLE.key("authority"), GOOGLE.key(key), authority=True, serial=90 + place
        ).sign()
        for place, (name, (issuer, key)) in enumerate(zip(names, issuers[:-1], strict=True))
    )
    stage.certificate.issuer, stage.certificate.issuer_key = issuers[-1][0], GOOGLE.key(issuers[-1][1])
    stage.crls = []
    result = judge(stage.finish())
    assert [check.code for check in result.ledger.failed()] == (
        ["google_vm.ak.chain.root"] if count == 4 else []
    )


def test_a_container_that_cannot_be_read_is_covered_by_nothing():
    scenario = scene().finish()
    result = judge(scenario, evidence=b"no container")
    assert result.unsigned == (UnsignedRegion(0, 12, "all of it: the evidence cannot be read"),)
    assert result.signed_digest == hashlib.sha256(b"no container").digest()
    assert result.decoded == {}
    parts = replace(scenario.parts, quotes=())
    result = judge(scenario, evidence=parts)
    assert result.unsigned == (UnsignedRegion(0, 0, "all of it: the evidence cannot be read"),)
    assert result.signed_digest == hashlib.sha256(parts.ak_public).digest()


def test_a_part_stands_where_its_field_is_and_not_where_its_bytes_are_first():
    """Fields: the key (1), the canonical log (5), the firmware's log (3), a TD quote (9), all alike."""
    container = b"".join(bytes([number << 3 | 2, 1]) + b"X" for number in (1, 5, 3, 9))
    assert tee_span(container) == (11, 12)
    assert log_spans(container) == ((8, 9), (5, 6))
    assert log_spans(container[:3]) == ((0, 0), (0, 0))


def test_regions_stand_in_the_container_or_in_the_logs_themselves():
    """One and the same region: counted from the container's first byte, or from that of its own log."""
    scenario = scene().finish()
    whole, parts = judge(scenario), judge(scenario, evidence=scenario.parts)
    assert len(whole.unsigned) == len(parts.unsigned) > 10
    assert parts.unsigned[0] == UnsignedRegion(0, 32 + 28 + 3 * 4 + 1, "header of the event log")
    starts = [
        scenario.container.find(log) for log in (scenario.parts.event_log, scenario.parts.canonical_log)
    ]
    shifts = {one.start - two.start for one, two in zip(whole.unsigned, parts.unsigned, strict=True)}
    assert shifts == set(starts)
    for one, two in zip(whole.unsigned, parts.unsigned, strict=True):
        assert (one.end - one.start, one.name) == (two.end - two.start, two.name)


def test_a_report_that_is_not_there_has_no_byte():
    scenario = scene().finish()
    for tee, why in (
        ("tdx", "The attestation holds no TD quote."),
        ("snp", "The attestation holds no SNP report."),
    ):
        result = judge(scenario, tee=tee, report_data=Expected(bytes(64)))
        assert [check.reason for check in result.ledger.failed()] == [why]


@pytest.mark.parametrize("size", [1, 64])
def test_sizes_of_nonces(size):
    result = judge(scene().finish(), binding=Expected(bytes(size)))
    codes = {"google_vm.quote.nonce.mismatch"}
    assert {check.code for check in result.ledger.failed()} >= codes


@pytest.mark.parametrize("tee", ["none", "tdx", "snp"])
def test_what_was_asked_for_is_not_declared_unread(tee):
    names = {region.name for region in judge(scene(tee).finish()).unsigned}
    assert "TEE's evidence that was not asked for" not in names
