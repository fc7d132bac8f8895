"""Identity blocks: layout and both signatures."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.errors import ReferenceValueError
from assay.reference.snp_identity import (
    IdentityBlock,
    measure_identity,
    sign_identity,
    verify_identity,
)

IDENTITY, AUTHOR = (ec.derive_private_key(number, ec.SECP384R1()) for number in (7, 8))
BLOCK = IdentityBlock(b"\x11" * 48, b"f" * 16, b"i" * 16, 3, 0x30000)
SIGNED = sign_identity(BLOCK, IDENTITY, AUTHOR)
ALONE = sign_identity(BLOCK, IDENTITY, None)


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def changed(data: bytes, at: int, value: int | None = None) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 if value is None else value]) + data[at + 1 :]


def test_a_block_goes_through_its_encoding():
    data = BLOCK.encode()
    assert len(data) == 96
    assert IdentityBlock.parse(data) == BLOCK
    assert data[80:84] == b"\1\0\0\0"
    least = IdentityBlock(b"\x11" * 48)
    assert least == IdentityBlock(b"\x11" * 48, bytes(16), bytes(16), 0, 0x30000)
    assert IdentityBlock.parse(least.encode()) == least


def test_the_values_of_a_signed_block():
    found = measure_identity(BLOCK.encode(), SIGNED)
    assert found.registers == {
        "measurement": {b"\x11" * 48},
        "id_key_digest": {hashlib.sha384(SIGNED[0x240:0x644]).digest()},
        "author_key_digest": {hashlib.sha384(SIGNED[0x880:0xC84]).digest()},
    }
    assert found.platform == "snp"
    assert measure_identity(BLOCK.encode(), ALONE).registers.keys() == {"measurement", "id_key_digest"}
    assert verify_identity(None, SIGNED).author_key_digest is not None


@pytest.mark.parametrize("author", [AUTHOR, None])
def test_what_is_signed_is_laid_out_as_the_specification_says(author):
    def key(private):
        numbers = private.public_key().public_numbers()
        point = numbers.x.to_bytes(72, "little") + numbers.y.to_bytes(72, "little")
        return (b"\2\0\0\0" + point).ljust(1028, b"\0")

    signed = sign_identity(BLOCK, IDENTITY, author)
    assert len(signed) == 4096
    assert signed[:64] == (b"\1\0\0\0" + bytes([author is not None])).ljust(64, b"\0")
    assert signed[0x240:0x680] == key(IDENTITY).ljust(0x440, b"\0")
    found = verify_identity(BLOCK.encode(), signed)
    assert found.id_key_digest == hashlib.sha384(key(IDENTITY)).digest()
    if author is None:
        assert found.author_key_digest is None
        assert not any(signed[0x680:])
    else:
        assert found.author_key_digest == hashlib.sha384(key(author)).digest()
        assert signed[0x880:] == key(author).ljust(0x780, b"\0")


@pytest.mark.parametrize("block", [BLOCK.encode()[:-1], BLOCK.encode() + b"\0", changed(BLOCK.encode(), 80)])
def test_a_block_of_another_layout_is_refused(block):
    assert code(lambda: verify_identity(block, SIGNED)) == "reference.snp.id_block"


def test_a_block_without_the_fixed_bit_of_its_policy_is_refused():
    block = IdentityBlock(b"\x11" * 48, policy=0x10000)
    assert code(lambda: IdentityBlock.parse(block.encode())) == "reference.snp.id_block"


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        (SIGNED[:-1], "id_auth"),
        (SIGNED + b"\0", "id_auth"),
        (changed(SIGNED, 0), "id_auth"),
        (changed(SIGNED, 4, 2), "id_auth"),
        (changed(SIGNED, 8), "id_auth"),
        (changed(SIGNED, 0x643), "id_auth"),
        (changed(SIGNED, 0x644), "id_auth"),
        (changed(SIGNED, 0xC84), "id_auth"),
        (changed(SIGNED, 4095), "id_auth"),
        (changed(SIGNED, 0x240), "id_auth"),
        (changed(SIGNED, 0x244), "id_auth"),
        (changed(SIGNED, 0x40 + 144), "id_auth"),
        (changed(SIGNED, 4), "id_auth"),
        (changed(SIGNED, 0x40), "id_signature"),
        (changed(SIGNED, 0x680), "author_signature"),
    ],
)
def test_authentication_that_is_wrong_in_one_place(authentication, expected):
    assert code(lambda: verify_identity(BLOCK.encode(), authentication)) == f"reference.snp.{expected}"


def test_another_block_is_not_what_was_signed():
    other = IdentityBlock(b"\x12" * 48).encode()
    assert code(lambda: verify_identity(other, SIGNED)) == "reference.snp.id_signature"


def test_keys_are_on_the_right_curve():
    wrong = ec.derive_private_key(9, ec.SECP256R1())
    assert code(lambda: sign_identity(BLOCK, wrong, None)) == "reference.snp.id_key"
