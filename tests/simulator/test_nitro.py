"""The simulated Nitro: modules behave as AWS's do, and each named attack is refused under its code."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from assay.errors import SimulatorError
from assay.evidence.roots import Roots
from assay.simulator.intel import Installation
from assay.simulator.nitro.attacks import ATTACKS, IMAGE, genuine, stage
from assay.simulator.nitro.hypervisor import SimulatedAws
from support.nitro_scenes import AWS, BINDING, HOUR, NOW, PLATFORMS, judge, module


def code(call, *args, **options) -> str:
    with pytest.raises(SimulatorError) as error:
        call(*args, **options)
    return error.value.code


CASES = [(name, platform) for name, attack in ATTACKS.items() for platform in attack.platforms]


@pytest.mark.parametrize(("name", "platform"), CASES)
def test_a_named_attack_is_refused_under_its_code(name, platform):
    evidence = stage(name, AWS, platform=platform, at=NOW, binding=BINDING)
    result = judge(evidence.document, platform)
    expected = ATTACKS[name].code
    if expected.startswith("claim:"):
        assert result.bound
        assert getattr(result.claims, expected.removeprefix("claim:")) is True
        return
    assert not result.bound
    assert [check.code for check in result.ledger.failed()] == [expected]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_without_an_attack_nothing_is_refused(platform):
    evidence = stage("none", AWS, platform=platform, at=NOW, binding=BINDING)
    result = judge(evidence.document, platform)
    assert result.bound
    assert result.simulated
    assert evidence.root == AWS.root_der
    assert not result.claims.debug


def test_an_attack_that_is_not_there_says_so():
    given = {"at": NOW, "binding": BINDING}
    assert code(stage, "no such", AWS, platform="nitro", **given) == "simulator.attack.unknown"
    assert code(stage, "debug-enclave", AWS, platform="nitro-tpm", **given) == "simulator.attack.elsewhere"


def test_documents_are_the_same_bytes_for_the_same_installation():
    again = SimulatedAws(Installation(AWS.installation.secret))
    for platform in PLATFORMS:
        first, second = (genuine(aws, platform, NOW, BINDING).draft.encode() for aws in (AWS, again))
        assert first == second
    other = SimulatedAws(Installation(bytes(32)))
    assert other.root_der != AWS.root_der
    assert judge(genuine(other, "nitro", NOW, BINDING).draft.encode()).ledger.failed()


def test_no_vendor_root_vouches_for_it():
    result = judge(genuine(AWS, "nitro", NOW, BINDING).draft.encode(), roots=Roots.vendor())
    assert [check.code for check in result.ledger.failed()] == ["nitro.root.not_pinned"]


def test_the_chain_is_valid_at_every_hour_of_a_month():
    """Certificates are renewed as AWS renews them: each document's chain holds when it is made."""
    enclave = module()
    for hour in range(0, 24 * 30, 5):
        at = NOW + hour * HOUR
        result = judge(enclave.attest(at, user_data=BINDING), now=at)
        assert result.bound, result.ledger.unmet()
        window = result.claims.chain_valid_until - result.claims.chain_valid_from
        assert window <= timedelta(hours=3, seconds=3)


def test_a_register_is_extended_until_it_is_locked():
    enclave = module()
    assert enclave.registers[16] == bytes(48)
    value = enclave.extend(16, b"bundle")
    assert value == hashlib.sha384(bytes(48) + b"bundle").digest()
    assert 16 not in judge(enclave.attest(NOW, user_data=BINDING)).claims.pcrs
    enclave.lock(16)
    assert judge(enclave.attest(NOW, user_data=BINDING)).claims.pcrs[16] == value
    assert code(enclave.extend, 16, b"more") == "simulator.nitro.locked"
    assert code(enclave.lock, 16) == "simulator.nitro.locked"
    assert code(enclave.extend, 0, b"image") == "simulator.nitro.locked"
    assert code(enclave.extend, 32, b"x") == "simulator.nitro.register"
    assert code(enclave.extend, 17, b"") == "simulator.nitro.data"
    assert code(enclave.extend, 17, bytes(513)) == "simulator.nitro.data"


def test_a_tpm_goes_on_extending():
    tpm = module("nitro-tpm")
    value = tpm.extend(14, b"event")
    claims = judge(tpm.attest(NOW, user_data=BINDING), "nitro-tpm").claims
    assert claims.pcrs[14] == value
    assert len(claims.pcrs) == 24
    assert claims.module_id.endswith("-tpm0000000000000000")


def test_what_an_image_cannot_set_is_refused():
    instance = AWS.instance("x")
    for pcrs in ({16: bytes(48)}, {-1: bytes(48)}, {0: bytes(32)}):
        assert code(instance.enclave, pcrs, started=NOW) == "simulator.nitro.register"
    for pcrs in ({24: bytes(48)}, {0: bytes(32)}):
        assert code(instance.tpm, pcrs) == "simulator.nitro.register"
    assert code(module().draft, NOW, nonce=bytes(1025)) == "simulator.nitro.data"


def test_an_enclave_in_debug_mode_shows_zeros():
    debug = AWS.instance("debug").enclave(IMAGE, started=NOW, debug=True)
    claims = judge(debug.attest(NOW, user_data=BINDING)).claims
    assert claims.debug
    assert not any(any(claims.pcrs[index]) for index in (0, 1, 2))
    assert claims.pcrs[8] == IMAGE[8]
    assert any(claims.pcrs[4])
