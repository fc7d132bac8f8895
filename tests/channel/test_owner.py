from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from assay.channel import identity
from assay.channel.identity import spki_of_certificate
from assay.channel.owner import OwnerKey, verify_signature
from assay.errors import ChannelError


def test_a_key_is_stored_for_its_user_alone_and_loaded_again(tmp_path):
    key = OwnerKey.create()
    path = tmp_path / "owner.pem"
    key.store(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert OwnerKey.load(path).spki == key.spki
    with pytest.raises(FileExistsError):
        key.store(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_could_touch_is_refused(tmp_path, mode):
    path = tmp_path / "owner.pem"
    OwnerKey.create().store(path)
    path.chmod(mode)
    with pytest.raises(ChannelError) as found:
        OwnerKey.load(path)
    assert found.value.code == "channel.owner.mode"


def test_links_directories_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "owner.pem"
    OwnerKey.create().store(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for wrong, code in (
        (link, "unreadable"),
        (tmp_path / "absent", "unreadable"),
        (tmp_path, "mode"),
        (tmp_path / "pipe", "mode"),
    ):
        with pytest.raises(ChannelError) as found:
            OwnerKey.load(wrong)
        assert found.value.code == f"channel.owner.{code}"


def test_other_keys_are_refused():
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for data in (b"", b"no key", other):
        with pytest.raises(ChannelError) as found:
            OwnerKey.from_pem(data)
        assert found.value.code == "channel.owner.malformed"
    with pytest.raises(ChannelError) as found:
        OwnerKey(ec.generate_private_key(ec.SECP384R1()))
    assert found.value.code == "channel.owner.malformed"


def test_a_signature_is_of_one_key_and_one_message():
    key, other = OwnerKey.create(), OwnerKey.create()
    signature = key.sign(b"message")
    assert verify_signature(key.spki, signature, b"message")
    assert not verify_signature(key.spki, signature, b"other")
    assert not verify_signature(other.spki, signature, b"message")
    assert not verify_signature(b"no key", signature, b"message")
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    spki = p384.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert not verify_signature(spki, signature, b"message")


def test_the_certificate_carries_the_key_and_no_secret_is_shown():
    key = OwnerKey.create()
    assert spki_of_certificate(key.certificate()) == key.spki
    assert key.certificate() is key.certificate()


def test_sessions_that_open_at_once_show_one_certificate(monkeypatch):
    making = identity.self_signed

    def slowly(*arguments):
        time.sleep(0.02)  # every thread is inside before the first one is done
        return making(*arguments)

    monkeypatch.setattr(identity, "self_signed", slowly)
    key = OwnerKey.create()
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: key.certificate(), range(8)))
    assert len(made) == 1
    assert key.pem().splitlines()[1].decode() not in repr(key)
