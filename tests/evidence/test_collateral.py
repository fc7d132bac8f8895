"""Collateral as bytes: two forms that are read, raw slices that are kept, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import pickle
from dataclasses import fields, replace
from urllib.parse import quote

import pytest

from assay.errors import EndorsementError
from assay.evidence.dcap.collateral import MAX_BUNDLE_BYTES, MAX_PART_BYTES, Collateral, signed_member
from assay.evidence.decoding.pem import encode
from support.dcap_scenes import INTEL, NOW

GENUINE = INTEL.collateral(NOW, platform="tdx")
PARTS = [part.name for part in fields(Collateral) if part.init]


def refused(call) -> str:
    with pytest.raises(EndorsementError) as error:
        call()
    assert error.value.code == "endorsements.collateral.malformed"
    assert error.value.message.isprintable()
    return error.value.message


def bundle(**changes) -> bytes:
    members = json.loads(GENUINE.to_bundle_json())
    for name, value in changes.items():
        if value is ...:
            del members[name]
        else:
            members[name] = value
    return json.dumps(members).encode()


def test_a_bundle_is_read_as_it_was_written():
    assert Collateral.from_bundle_json(GENUINE.to_bundle_json()) == GENUINE
    assert Collateral.from_bundle_json(bundle(pck_certificate_chain="ignored", x=[1])) == GENUINE


def test_hexadecimal_of_either_case():
    members = json.loads(GENUINE.to_bundle_json())
    for name in ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"):
        members[name] = members[name].upper()
    assert Collateral.from_bundle_json(json.dumps(members).encode()) == GENUINE


BINARY = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")


def test_arrays_of_numbers():
    assert (
        Collateral.from_bundle_json(bundle(**{name: list(getattr(GENUINE, name)) for name in BINARY}))
        == GENUINE
    )


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("value", [[256], [-1], [1.0], [True], ["1"], [[1]], [None]])
def test_what_is_no_array_of_bytes(name, value):
    assert name in refused(lambda: Collateral.from_bundle_json(bundle(**{name: value})))


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_missing_or_of_another_kind(name):
    for value in (..., None, 1, ["x"], {"a": 1}):
        assert name in refused(lambda value=value: Collateral.from_bundle_json(bundle(**{name: value})))


@pytest.mark.parametrize("text", ["0", "0g", "00 00", " 00", "00\n", "\uff10\uff10"])
def test_what_is_no_hexadecimal(text):
    for name in ("root_ca_crl", "tcb_info_signature"):
        assert name in refused(lambda name=name: Collateral.from_bundle_json(bundle(**{name: text})))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"\xff", b'{"tcb_info":"a","tcb_info":"b"}', b" " * (MAX_BUNDLE_BYTES + 1)],
)
def test_what_is_no_bundle(data):
    refused(lambda: Collateral.from_bundle_json(data))


def test_text_that_no_bytes_can_hold():
    refused(lambda: Collateral.from_bundle_json(bundle(tcb_info="\ud800")))


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_exactly_bytes_and_bounded(name):
    for value in (bytearray(b"x"), memoryview(b"x"), "x", None, bytes(MAX_PART_BYTES + 1)):
        assert name in refused(lambda value=value: replace(GENUINE, **{name: value}))
    assert getattr(replace(GENUINE, **{name: bytes(MAX_PART_BYTES)}), name) == bytes(MAX_PART_BYTES)


@pytest.mark.parametrize("name", PARTS)
def test_the_digest_is_of_every_part(name):
    other = replace(GENUINE, **{name: getattr(GENUINE, name) + b"x"})
    assert other.digest != GENUINE.digest
    assert len(other.digest) == 32
    assert replace(other, **{name: getattr(GENUINE, name)}).digest == GENUINE.digest


def test_the_digest_by_hand():
    """Each part follows its length, in the order of the fields."""
    parts = [getattr(GENUINE, name) for name in PARTS]
    whole = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert GENUINE.digest == hashlib.sha256(whole).digest()


def test_the_digest_tells_parts_apart():
    """A byte that moves from the end of one part to the beginning of the next changes the digest."""
    for first, second in itertools.pairwise(PARTS):
        moved = replace(
            GENUINE,
            **{
                first: getattr(GENUINE, first)[:-1],
                second: getattr(GENUINE, first)[-1:] + getattr(GENUINE, second),
            },
        )
        assert moved.digest != GENUINE.digest


def test_copies_have_the_digest_of_their_parts():
    for again in (copy.copy(GENUINE), copy.deepcopy(GENUINE), pickle.loads(pickle.dumps(GENUINE))):
        assert again == GENUINE
        assert again.digest == GENUINE.digest


# --- The provisioning service


def answers(**changes):
    given = {
        "tcb_info": b'{"tcbInfo":'
        + GENUINE.tcb_info
        + b',"signature":"'
        + GENUINE.tcb_info_signature.hex().encode()
        + b'"}',
        "tcb_info_issuer_chain": quote(GENUINE.tcb_info_issuer_chain.decode()),
        "qe_identity": b'{"signature":"'
        + GENUINE.qe_identity_signature.hex().upper().encode()
        + b'","enclaveIdentity":'
        + GENUINE.qe_identity
        + b"}",
        "qe_identity_issuer_chain": quote(GENUINE.qe_identity_issuer_chain),
        "pck_crl": GENUINE.pck_crl,
        "pck_crl_issuer_chain": GENUINE.pck_crl_issuer_chain,
        "root_ca_crl": GENUINE.root_ca_crl.hex().encode() + b"\n",
    }
    return given | changes


def test_answers_are_assembled_and_their_signed_values_are_raw():
    assert Collateral.from_pcs(**answers()) == GENUINE
    spaced = GENUINE.tcb_info.replace(b",", b" , ")
    answer = b'{ "tcbInfo" : ' + spaced + b' , "signature":"00"}'
    assert signed_member(answer, "tcbInfo") == (spaced, b"\0")


def test_lists_as_pem():
    for name in ("pck_crl", "root_ca_crl"):
        text = encode(getattr(GENUINE, name)).replace(b"CERTIFICATE", b"X509 CRL")
        for given in (text, text.replace(b"\n", b"\r\n"), text.rstrip()):
            assert Collateral.from_pcs(**answers(**{name: given})) == GENUINE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcb_info", b"[]"),
        ("tcb_info", b"{}"),
        ("tcb_info", b'{"tcbInfo":{}}'),
        ("tcb_info", b'{"tcbInfo":{},"signature":1}'),
        ("tcb_info", b'{"tcbInfo":{},"signature":"0"}'),
        ("tcb_info", b'{"tcbInfo":{},"tcbInfo":{},"signature":"00"}'),
        ("qe_identity", b'{"tcbInfo":{},"signature":"00"}'),
        ("pck_crl", b""),
        ("pck_crl", b"\xff"),
        ("pck_crl", b"not hex"),
        ("root_ca_crl", b"-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n"),
        ("root_ca_crl", encode(GENUINE.root_ca_crl)),
    ],
)
def test_answers_that_are_refused(name, value):
    message = refused(lambda: Collateral.from_pcs(**answers(**{name: value})))
    if name.endswith("_crl"):
        assert message.startswith(name)
