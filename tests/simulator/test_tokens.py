"""Simulated token services: keys of one installation, kept as carefully as its secret."""

from __future__ import annotations

import json
import stat

import pytest

from assay.errors import SimulatorError
from assay.evidence.jose.base64url import decode
from assay.simulator.tokens import ServiceKeys, TokenServices
from support.token_scenes import NOW, scene, services

SERVICES = ("confidential-space", "maa", "trust-authority", "nras")


def test_keys_are_kept_for_their_owner_alone(tmp_path):
    first = ServiceKeys(bytes(32), tmp_path).rsa_key("maa")
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = ServiceKeys(bytes(32), tmp_path).rsa_key("maa")
    assert again.private_numbers() == first.private_numbers()


def test_a_key_that_others_may_read_is_refused(tmp_path):
    ServiceKeys(bytes(32), tmp_path).rsa_key("maa")
    path = tmp_path / "simulated-maa.pem"
    path.chmod(0o640)
    with pytest.raises(SimulatorError) as caught:
        ServiceKeys(bytes(32), tmp_path).rsa_key("maa")
    assert caught.value.code == "simulator.tokens.key"


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE " + b"KEY-----\n"])
def test_a_key_that_cannot_be_read_is_refused(tmp_path, content):
    path = tmp_path / "simulated-maa.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SimulatorError) as caught:
        ServiceKeys(bytes(32), tmp_path).rsa_key("maa")
    assert caught.value.code == "simulator.tokens.key"


def test_a_link_is_not_followed(tmp_path):
    ServiceKeys(bytes(32), tmp_path).rsa_key("maa")
    (tmp_path / "simulated-nras.pem").symlink_to(tmp_path / "simulated-maa.pem")
    with pytest.raises(SimulatorError):
        ServiceKeys(bytes(32), tmp_path).rsa_key("nras")


def test_curve_keys_follow_from_the_secret():
    def public(secret, label):
        return ServiceKeys(secret).p384_key(label).public_key()

    assert public(b"a" * 32, "nras") == public(b"a" * 32, "nras")
    assert public(b"a" * 32, "nras") != public(b"b" * 32, "nras")
    assert public(b"a" * 32, "nras") != public(b"a" * 32, "other")


@pytest.mark.parametrize("service", SERVICES)
def test_key_sets_publish_no_secret(service):
    (entry,) = json.loads(services().key_set(service))["keys"]
    assert entry["use"] == "sig"
    assert not entry.keys() & {"d", "p", "q", "dp", "dq", "qi"}


def test_another_installation_is_another_issuer():
    other = TokenServices(ServiceKeys(b"o" * 32, None, 2048))
    stage = scene("nras")
    stage.endorsements = other.endorsements("nras")
    assert [check.code for check in stage.finish().ledger.failed()] == ["nras.token.key.unknown"]


def test_one_nonce_is_a_text_and_several_are_an_array():
    issuer = services()

    def stated(*nonces):
        token = issuer.confidential_space(NOW, nonces=nonces).sign()
        return json.loads(decode(token.split(b".")[1])).get("eat_nonce")

    assert stated() is None
    assert stated("n" * 9) == "n" * 9
    assert stated("n" * 9, "m" * 9) == ["n" * 9, "m" * 9]
