"""Enclave images: registers from the file, and every defect of a file refused by its name."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import PurePosixPath

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.decoding.cbor import encode
from assay.evidence.decoding.pem import encode as pem
from assay.reference.artefact import Artefact, open_artefact
from assay.reference.eif import SectionKind, measure, measure_image
from assay.reference.values import Measured
from support import vectors
from support.eif_images import (
    COMMAND_LINE,
    KERNEL,
    KEY,
    METADATA,
    PARTS,
    RAMDISK,
    SIGNATURE,
    ImageDraft,
    certificate,
    signature,
)


def image(data: bytes):
    return measure_image(Artefact.of(data))


def refused(data: bytes) -> str:
    with pytest.raises(ReferenceValueError) as error:
        image(data)
    assert error.value.message.isprintable()
    return error.value.code


def register(*contents: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(contents)).digest()).digest()


CONTENTS = st.binary(max_size=300)


@given(CONTENTS, CONTENTS, st.lists(CONTENTS, min_size=1, max_size=6), st.sampled_from([1, 2, 3, 4]))
def test_the_registers_are_those_of_the_contents(kernel, command_line, ramdisks, version):
    parts = [(KERNEL, kernel), (COMMAND_LINE, command_line)]
    if version == 4:
        parts.append((METADATA, b'{"BuildMetadata": {}}'))
    found = image(
        ImageDraft([*parts, *((RAMDISK, content) for content in ramdisks)], version=version).encode()
    )
    assert found.pcr0 == register(kernel, command_line, *ramdisks)
    assert found.pcr1 == register(kernel, command_line, ramdisks[0])
    assert found.pcr2 == register(*ramdisks[1:])
    assert found.pcr8 is None
    assert found.signer is None
    assert (found.version, found.architecture, found.cpus, found.memory) == (version, "x86_64", 2, 512 << 20)
    assert found.sections[-1].kind is SectionKind.RAMDISK


def test_metadata_and_header_are_in_no_register():
    changed = [(kind, b"other" if kind == METADATA else content) for kind, content in PARTS]
    first, second = image(ImageDraft().encode()), image(ImageDraft(changed, flags=1).encode())
    assert (first.pcr0, first.pcr1, first.pcr2) == (second.pcr0, second.pcr1, second.pcr2)
    assert second.architecture == "aarch64"
    assert any("metadata" in note for note in measure(Artefact.of(ImageDraft().encode())).notes)


def signed(section: bytes) -> bytes:
    return ImageDraft([*PARTS, (SIGNATURE, section)]).encode()


PCR0 = image(ImageDraft().encode()).pcr0


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize(
    ("algorithm", "curve"),
    [
        (Algorithm.ES256, ec.SECP256R1()),
        (Algorithm.ES384, ec.SECP384R1()),
        (Algorithm.ES512, ec.SECP521R1()),
    ],
)
def test_a_signed_image_shows_its_signer_in_pcr8(algorithm, curve, numbers):
    key = ec.derive_private_key(9, curve)
    found = image(signed(signature(PCR0, key=key, algorithm=algorithm, numbers=numbers)))
    assert found.pcr0 == PCR0
    assert found.pcr8 == register(found.signer.certificate)
    assert found.signer.subject == "CN=signer of images"
    assert found.signer.algorithm == algorithm.name
    assert found.signer.not_before < found.signer.not_after
    values = measure(Artefact.of(signed(signature(PCR0)), "app.eif"))
    assert values.platform == "nitro"
    assert set(values.registers) == {"pcr0", "pcr1", "pcr2", "pcr8"}
    assert values.parameters["signer"] == "CN=signer of images"
    assert Measured.from_json(values.to_json()) == values
    assert (values.artefacts[0].role, values.artefacts[0].name) == ("eif", "app.eif")
    assert values.parameters == {
        "architecture": "x86_64",
        "format": "4",
        "signer": "CN=signer of images",
    }


def spoilt_subject() -> bytes:
    """Return a certificate whose names are no text; it is decoded lazily."""
    der = certificate().public_bytes(Encoding.DER).replace(b"signer of images", b"\xff" * 16)
    return pem(der)


OTHER = ec.derive_private_key(6, ec.SECP384R1())
PEM = certificate().public_bytes(Encoding.PEM)


def with_size(place: int, size: int) -> bytes:
    """Return an image whose header states the size of a section that is not there."""
    data = ImageDraft().encode()
    at = 28 + 32 * 8 + 8 * place
    return data[:at] + size.to_bytes(8, "big") + data[at + 8 :]


DEFECTS = {
    "header only": (b".eif" + bytes(500), "reference.eif.header"),
    "a whole header and nothing behind it": (ImageDraft([]).encode(), "reference.eif.sections"),
    "no image at all": (b"CYNTRISEC".ljust(8192, b"X"), "reference.eif.magic"),
    "unknown version": (ImageDraft(version=5).encode(), "reference.eif.version"),
    "version zero": (ImageDraft(version=0).encode(), "reference.eif.version"),
    "unknown flag": (ImageDraft(flags=2).encode(), "reference.eif.header"),
    "reserved field": (ImageDraft(reserved=1).encode(), "reference.eif.header"),
    "unused field": (ImageDraft(unused=1).encode(), "reference.eif.header"),
    "no sections": (ImageDraft(count=0).encode(), "reference.eif.sections"),
    "more sections than there can be": (ImageDraft(count=33).encode(), "reference.eif.sections"),
    "fewer sections than stated": (ImageDraft(count=6).encode(), "reference.eif.sections"),
    "more sections than stated": (ImageDraft(count=4).encode(), "reference.eif.sections"),
    "offset of a section that is not there": (ImageDraft(extra_offset=9).encode(), "reference.eif.sections"),
    "size of a section that is not there": (with_size(5, 9), "reference.eif.sections"),
    "more sections than offsets": (
        ImageDraft([*PARTS, *[(RAMDISK, b"x")] * 27], count=33).encode(),
        "reference.eif.sections",
    ),
    "bytes between sections": (ImageDraft(gap=b"x").encode(), "reference.eif.sections"),
    "sizes that differ": (ImageDraft(size_error=1).encode(), "reference.eif.sections"),
    "flags of a section": (ImageDraft(section_flags=1).encode(), "reference.eif.sections"),
    "unknown kind": (ImageDraft([*PARTS, (6, b"x")]).encode(), "reference.eif.section_kind"),
    "kind zero": (ImageDraft([*PARTS, (0, b"x")]).encode(), "reference.eif.section_kind"),
    "cut": (ImageDraft().encode()[:-1], "reference.eif.truncated"),
    "cut before a section": (ImageDraft().encode()[:560], "reference.eif.truncated"),
    "trailing byte": (ImageDraft(tail=b"\0").encode(), "reference.eif.trailing"),
    "wrong crc": (ImageDraft(crc=7).encode(), "reference.eif.crc"),
    "command line first": (ImageDraft([PARTS[1], PARTS[0], *PARTS[2:]]).encode(), "reference.eif.order"),
    "nothing but a kernel": (ImageDraft([PARTS[0]]).encode(), "reference.eif.order"),
    "two kernels": (ImageDraft([PARTS[0], *PARTS]).encode(), "reference.eif.order"),
    "kernel at the end": (ImageDraft([*PARTS, PARTS[0]]).encode(), "reference.eif.order"),
    "kernel behind the first ramdisk": (ImageDraft([*PARTS[:4], PARTS[0]]).encode(), "reference.eif.order"),
    "no ramdisk": (ImageDraft(list(PARTS[:3])).encode(), "reference.eif.order"),
    "two metadata": (ImageDraft([*PARTS, PARTS[2]]).encode(), "reference.eif.order"),
    "no metadata": (
        ImageDraft([part for part in PARTS if part[0] != METADATA]).encode(),
        "reference.eif.metadata",
    ),
    "large metadata": (
        ImageDraft([*PARTS[:2], (METADATA, bytes((1 << 20) + 1)), *PARTS[3:]]).encode(),
        "reference.eif.section_size",
    ),
    "large signature": (signed(bytes(32 * 1024 + 1)), "reference.eif.section_size"),
    "signature of the largest size that is no CBOR": (signed(bytes(32 * 1024)), "reference.eif.signature"),
    "two signatures": (
        ImageDraft([*PARTS, *[(SIGNATURE, signature(PCR0))] * 2]).encode(),
        "reference.eif.order",
    ),
    "empty signature": (signed(b""), "reference.eif.signature"),
    "signature that is no CBOR": (signed(b"\xff"), "reference.eif.signature"),
    "no signature in its section": (signed(encode([])), "reference.eif.signature"),
    "signature that is no list": (signed(encode({})), "reference.eif.signature"),
    "signature without members": (signed(encode([{}])), "reference.eif.signature"),
    "numbers that are no bytes": (
        signed(encode([{"signing_certificate": [256], "signature": b""}])),
        "reference.eif.signature",
    ),
    "trailing byte of a signature": (signed(signature(PCR0) + b"\0"), "reference.eif.signature"),
    "signature of another register": (signed(signature(PCR0, index=1)), "reference.eif.signature"),
    "signature of register false": (signed(signature(PCR0, index=False)), "reference.eif.signature"),
    "signature of another key": (
        signed(signature(PCR0, key=OTHER, pem=PEM)),
        "reference.eif.signature",
    ),
    "algorithm that is not accepted": (
        signed(signature(PCR0, algorithm=Algorithm.PS256)),
        "reference.eif.signature",
    ),
    "certificate that is none": (signed(signature(PCR0, pem=b"text")), "reference.eif.certificate"),
    "certificate with a subject that cannot be read": (
        signed(signature(PCR0, pem=spoilt_subject())),
        "reference.eif.certificate",
    ),
    "two certificates": (signed(signature(PCR0, pem=PEM * 2)), "reference.eif.certificate"),
    "signature of another image": (signed(signature(bytes(48))), "reference.eif.signed_pcr0"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_refused_by_its_name(name):
    data, code = DEFECTS[name]
    assert refused(data) == code


def test_an_image_has_as_many_sections_and_as_much_metadata_as_its_format_admits():
    ramdisks = [(RAMDISK, bytes([at])) for at in range(29)]
    found = image(ImageDraft([*PARTS[:3], *ramdisks]).encode())
    assert len(found.sections) == 32
    assert found.pcr2 == register(*(content for _, content in ramdisks[1:]))
    large = ImageDraft([*PARTS[:2], (METADATA, bytes(1 << 20)), *PARTS[3:]]).encode()
    assert image(large).pcr0 == PCR0


def test_one_byte_changed_anywhere_is_noticed():
    data = signed(signature(PCR0))
    for offset in range(0, len(data), 7):
        assert refused(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])


def test_a_large_image_is_read_in_pieces(tmp_path):
    path = tmp_path / "large.eif"
    content = bytes(24 << 20)
    path.write_bytes(ImageDraft([*PARTS, (RAMDISK, content)]).encode())
    expected = register(*(part[1] for part in PARTS if part[0] != METADATA), content)
    del content
    tracemalloc.start()
    try:
        with open_artefact(path) as eif:
            assert measure(eif).registers["pcr0"] == {expected}
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


# --- Real and published images

ERRORS = {
    "crc mismatch": "reference.eif.crc",
    "truncated section": "reference.eif.truncated",
    "CRC valid but signed PCR0 != recomputed PCR0": "reference.eif.signed_pcr0",
}


def reaches(data: bytes, stated: dict[str, str]) -> None:
    """Assert registers, or an error, as they are stated."""
    if "error" in stated:
        assert refused(data) == ERRORS[stated["error"]]
        return
    found = image(data)
    registers = {"PCR0": found.pcr0, "PCR1": found.pcr1, "PCR2": found.pcr2, "PCR8": found.pcr8}
    assert {name: value.hex() for name, value in registers.items() if value is not None} == stated


@pytest.mark.parametrize("case", vectors.cases("eif-measure"), ids=lambda case: case["id"])
def test_case(case):
    stated = dict(case["expected"])
    result = stated.pop("result")
    if "error" in stated:
        assert result == f"negative: {stated['error']}"
    else:
        assert result == "GENERATED per AWS spec; PCRs computed independently"
    reaches(vectors.read(case["files"]["eif"]), stated)
    vectors.record("nitro", "eif-measure")


def check_image(entry):
    result, stated = entry["expected"]["result"], entry["expected"]["key_fields"]
    assert result == (
        f"negative: {stated['error']}"
        if "error" in stated
        else "GENERATED per AWS spec; PCRs computed independently"
    )
    reaches(vectors.read(entry["file"]), stated)


def check_placeholder(entry):
    assert "must be rejected" in entry["notes"]
    assert refused(vectors.read(entry["file"])) == "reference.eif.magic"


def check_registers(entry):
    """The list holds two images that are not there: they are derived from those that are."""
    listed = json.loads(vectors.read(entry["file"]))
    assert list(listed) == entry["expected"]["key_fields"]["json_keys"]
    folder = PurePosixPath(entry["file"]).parent
    there = {PurePosixPath(found["file"]).name for found in vectors.entries("nitro", "eif")}
    for name, stated in listed.items():
        if name in there:
            reaches(vectors.read(str(folder / name)), stated)
    assert set(listed) - there == {"standard_2ramdisks.eif", "neg_truncated.eif"}
    whole = vectors.read(str(folder / "signed_2ramdisks.eif"))
    reaches(unsigned(whole), listed["standard_2ramdisks.eif"])
    reaches(whole[:-10], listed["neg_truncated.eif"])


def unsigned(data: bytes) -> bytes:
    """Return a signed image without its signature."""
    found = image(data)
    parts = [
        (int(section.kind), data[section.offset : section.offset + section.size])
        for section in found.sections
        if section.kind is not SectionKind.SIGNATURE
    ]
    return ImageDraft(parts).encode()


CHECKERS = {"eif": check_image, "eif-fake": check_placeholder, "nitro-pcrs": check_registers}


@pytest.mark.parametrize(
    "entry",
    [entry for entry in vectors.entries("nitro") if entry["kind"] in CHECKERS],
    ids=lambda entry: entry["file"],
)
def test_entry(entry):
    assert vectors.pinned(entry)
    CHECKERS[entry["kind"]](entry)
    vectors.record("nitro", entry["kind"])


def test_the_key_of_the_signer_is_not_in_the_registers_of_the_code():
    one, two = (image(signed(signature(PCR0, key=key))) for key in (KEY, OTHER))
    assert one.pcr8 != two.pcr8
    assert (one.pcr0, one.pcr1, one.pcr2) == (two.pcr0, two.pcr1, two.pcr2)
