"""Microsoft's endorsements of the VM of confidential containers."""

from __future__ import annotations

import hashlib
import json
import random
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assay.cli.main import main
from assay.errors import ReferenceValueError
from assay.evidence.cose.sign1 import Sign1
from assay.evidence.decoding.cbor import Tag, decode, encode
from assay.evidence.x509.general import GeneralCertificate
from assay.reference import azure
from assay.reference.azure import verify_endorsement
from support import vectors
from support.reference_azure import FEED, NOW, USAGE, certificate, chain, endorsement, issuer, payload

GENUINE = {
    "azure/ms-scitt/css-20260302.uvm_endorsements.cose": ("2025-11-14T06:57:03Z", 104, "6d6c354511d6f7c6"),
    "azure/ms-sidecar/uvm_reference_info.cose": ("2023-07-06T07:22:47Z", 22, "51068107cdc7ee3d"),
}


def verified(data: bytes, *, trusted=None, feed=FEED, minimum_svn=0, now=NOW):
    return verify_endorsement(
        data, issuer=issuer() if trusted is None else trusted, feed=feed, minimum_svn=minimum_svn, now=now
    )


def genuine(name: str, data: bytes | None = None, *, minimum_svn=0):
    moment = datetime.fromisoformat(GENUINE[name][0])
    data = vectors.read(name) if data is None else data
    return verify_endorsement(data, issuer=azure.ISSUER, feed=azure.FEED, minimum_svn=minimum_svn, now=moment)


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_endorsements_are_verified(name):
    _, svn, measurement = GENUINE[name]
    found = genuine(name, minimum_svn=svn)
    (value,) = found.registers["measurement"]
    assert value.hex().startswith(measurement)
    assert found.parameters["guest_svn"] == str(svn)
    assert code(lambda: genuine(name, minimum_svn=svn + 1)) == "reference.azure.svn"


@pytest.mark.parametrize("name", GENUINE)
def test_bits_of_a_genuine_endorsement_cannot_be_changed_unnoticed(name):
    data, chosen = vectors.read(name), random.Random(name)
    unsigned = Sign1.parse(data).unprotected["timestamp"]
    start = data.index(unsigned) - 32  # with the name of the one parameter and the lengths
    end = data.index(unsigned) + len(unsigned)
    accepted = 0
    for position in chosen.sample(range(8 * len(data)), 400):
        at, bit = divmod(position, 8)
        with suppress(ReferenceValueError):
            genuine(name, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            accepted += 1
            assert start <= at < end
    vectors.note(
        f"bit flips of a genuine {name.rpartition('/')[2]}: 400 tried, {accepted} accepted, all in the"
        " unprotected header"
    )


def test_what_microsoft_would_sign_is_read():
    found = verified(endorsement(), minimum_svn=104)
    assert found.registers == {"measurement": {b"\xab" * 48}}
    assert (found.platform, found.notes) == ("snp", ())
    assert found.parameters == {
        "issuer": issuer(),
        "feed": FEED,
        "guest_svn": "104",
        "signer_sha256": hashlib.sha256(chain()[0]).hexdigest(),
        "stated_signing_time": "1777000000",
    }
    for other in (None, 1777000000, Tag(1, "soon"), Tag(1, True)):
        stated = verified(endorsement(signingtime=other)).parameters
        assert "stated_signing_time" not in stated
    more = verified(endorsement(payload(other=1)))
    assert more.notes == ("The endorsement also holds x-ms-sevsnpvm-other; that is not appraised.",)
    older = payload(**{"guestsvn-int": None})
    assert verified(endorsement(older, h34=None)).parameters["guest_svn"] == "104"


def test_of_what_else_is_endorsed_a_little_is_said():
    many = verified(endorsement(payload(**{f"other{at}": 1 for at in range(9)}))).notes
    assert len(many) == 8
    assert "other7" in many[-1]
    (long,) = verified(endorsement(payload(**{"o" * 100: 1}))).notes
    assert long == f"The endorsement also holds x-ms-sevsnpvm-{'o' * 50}; that is not appraised."


@pytest.mark.parametrize(
    "usage", ["0.0.1", "1.0.2", "2.39.3", "1.2.127.128.16383.16384", "1.2.840.113549.1.999999999"]
)
def test_a_usage_is_compared_as_it_is_encoded(usage):
    trusted = issuer(usage=usage)
    assert verified(endorsement(iss=trusted, h33=chain(usage=usage), h34=None), trusted=trusted).registers
    assert code(lambda: verified(endorsement(iss=trusted), trusted=trusted)) == "reference.azure.certificate"


def test_an_endorsement_at_its_bounds_is_verified():
    assert verified(endorsement(h33=[*chain(), *chain()[2:] * 2])).registers
    assert code(lambda: verified(endorsement(h33=[*chain(), *chain()[2:] * 3]))) == (
        "reference.azure.certificate"
    )
    around = len(endorsement(payload().ljust(1 << 17))) - (1 << 17)
    largest = endorsement(payload().ljust((1 << 18) - around))
    assert len(largest) == 1 << 18
    assert verified(largest).registers
    larger = endorsement(payload().ljust((1 << 18) - around + 1))
    assert code(lambda: verified(larger)) == "reference.azure.malformed"


def test_the_named_authority_ends_the_chain():
    signer = issuer(chain()[0])
    assert code(lambda: verified(endorsement(iss=signer), trusted=signer)) == "reference.azure.issuer"
    middle = chain()[1]
    trusted = issuer(middle)
    assert verified(endorsement(iss=trusted, h33=chain()[:2]), trusted=trusted).registers
    assert verified(endorsement(iss=trusted), trusted=trusted).registers


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": issuer(usage="1.2.3")}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"feed": "another"}, "feed"),
        ({"feed": None}, "feed"),
        ({"h3": "text/plain"}, "malformed"),
        ({"h33": None}, "certificate"),
        ({"h33": chain()[0]}, "certificate"),
        ({"h33": chain()[:1]}, "certificate"),
        ({"h33": [*chain(), *chain()]}, "certificate"),
        ({"h33": [b"x", *chain()[1:]]}, "certificate"),
        ({"h33": [*chain(), "x"]}, "issuer"),
        ({"h33": chain()[:2]}, "issuer"),
        ({"h33": [chain()[2], chain()[1]]}, "issuer"),
        ({"h33": [chain()[0], chain()[2]]}, "certificate"),
        ({"h33": chain(signed_by="other"), "h34": None}, "certificate"),
        ({"h33": chain(usage="1.2.3"), "h34": None}, "certificate"),
        ({"h33": chain(usage=None), "h34": None}, "certificate"),
        ({"h34": [-16, bytes(32)]}, "certificate"),
        ({"h34": [-44, bytes(32)]}, "certificate"),
        ({"h1": -35}, "signature"),
        ({"h2": ["feed"]}, "signature"),
        ({"signed_by": "other"}, "signature"),
    ],
)
def test_an_endorsement_that_is_wrong_in_one_place(changes, expected):
    assert code(lambda: verified(endorsement(**changes))) == f"reference.azure.{expected}"


def test_an_authority_cannot_sign_endorsements():
    wrong = [certificate("middle", "root", authority=True, usage=USAGE), chain()[2]]
    data = endorsement(h33=wrong, h34=None, signed_by="middle")
    assert code(lambda: verified(data)) == "reference.azure.certificate"


def test_a_key_usage_that_is_malformed():
    leaf = chain()[0]
    at = leaf.index(bytes.fromhex("0603551d25")) + 9  # identifier, octet string, and the list within
    broken = leaf[:at] + b"\x04" + leaf[at + 1 :]
    assert leaf[at] == 0x06
    with pytest.raises(ReferenceValueError) as caught:
        azure._usages(GeneralCertificate.parse(broken))
    assert caught.value.code == "reference.azure.certificate"


def test_nothing_follows_the_usages_of_a_certificate():
    leaf = GeneralCertificate.parse(chain()[0])
    oid = bytes.fromhex("551d25")
    critical, usages = leaf.extensions[oid]
    spoilt = replace(leaf, extensions={**leaf.extensions, oid: (critical, usages + b"\0")})
    with pytest.raises(ReferenceValueError) as caught:
        azure._usages(spoilt)
    assert caught.value.code == "reference.azure.certificate"


@pytest.mark.parametrize("days", [-31, 31])
def test_certificates_are_valid_at_the_moment_of_use(days):
    moment = NOW + timedelta(days=days)
    assert code(lambda: verified(endorsement(), now=moment)) == "reference.azure.certificate"


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        payload(launchmeasurement=None),
        payload(launchmeasurement="AB" * 48),
        payload(launchmeasurement="ab" * 47),
        payload(launchmeasurement=1),
        payload(guestsvn=None),
        payload(guestsvn=104),
        payload(guestsvn="-1"),
        payload(guestsvn="0104"),
        payload(**{"guestsvn-int": 105}),
        payload(**{"guestsvn-int": True}),
    ],
)
def test_a_payload_that_says_nothing(content):
    assert code(lambda: verified(endorsement(content))) == "reference.azure.malformed"


def test_bytes_that_are_no_endorsement():
    parts = decode(endorsement(), max_bytes=100_000).value
    detached = encode(Tag(18, [parts[0], parts[1], None, parts[3]]))
    for data in (b"", bytes(256 * 1024 + 1), detached):
        assert code(lambda data=data: verified(data)) == "reference.azure.malformed"


@pytest.mark.parametrize("did", ["", "did:web:example", azure.ISSUER[:-1] + "x", issuer() + ".9999999999"])
def test_a_trusted_issuer_that_is_none(did):
    assert code(lambda: verified(endorsement(), trusted=did)) == "reference.azure.issuer"


def test_it_is_typed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        azure, "verify_endorsement", lambda data, **given: verify_endorsement(data, **{**given, "now": NOW})
    )
    (tmp_path / "endorsement.cose").write_bytes(endorsement())
    words = ["measure", "azure", str(tmp_path / "endorsement.cose"), "--minimum-svn", "104"]
    assert main([*words, "--issuer", issuer(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["registers"] == {"measurement": ["ab" * 48]}
    assert main(words) == 1
    assert "[reference.azure.issuer]" in capsys.readouterr().err
    assert main([*words, "--issuer", issuer(), "--feed", "x"]) == 1
    assert "[reference.azure.feed]" in capsys.readouterr().err
