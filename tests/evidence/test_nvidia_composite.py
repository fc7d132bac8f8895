"""The nonce that ties a GPU to its CPU, in each shape that exists."""

from __future__ import annotations

import hashlib

import pytest

from assay.channel.binding import Purpose, SessionBinding
from assay.evidence.ledger import Outcome
from assay.evidence.nvidia.composite import (
    GPU_NONCE,
    NonceShape,
    carried_nonce,
    check_gpu_nonce,
    head_nonce,
)
from assay.evidence.verification import Expected
from assay.simulator.nvidia import Scene
from support.nvidia_scenes import NOW, NVIDIA, judge

SESSION = SessionBinding(
    purpose=Purpose.ADMISSION,
    role="guest",
    platform="tdx",
    nonce=bytes(32),
    lease="lease-1",
    owner_key=b"owner",
    channel_key=b"channel",
    receipt_key=b"receipt",
    ssh_host_key=b"",
    hpke_key=b"",
    manifest=bytes(32),
)
HEAD = bytes(range(32))


def test_the_carrier_is_the_one_of_the_channel():
    assert carried_nonce(SESSION.encode()) == SESSION.carried("gpu")


def test_a_gpu_that_answered_to_the_carried_nonce_belongs_to_the_session():
    nonce = SESSION.carried("gpu")
    result = judge(Scene(NVIDIA, NOW, nonce).finish(), binding=Expected(nonce))
    assert result.bound
    check = check_gpu_nonce(
        [device.nonce for device in result.claims.devices],
        NonceShape.CARRIER,
        report_data=SESSION.report_data(),
        encoding=SESSION.encode(),
    )
    assert check is GPU_NONCE.passed


def test_a_gpu_that_answered_to_the_head_of_the_report_data():
    check = check_gpu_nonce(
        [HEAD, HEAD], NonceShape.REPORT_DATA_HEAD, report_data=HEAD + bytes(32), encoding=None
    )
    assert check is GPU_NONCE.passed


def test_a_gpu_that_answered_to_the_tail_of_the_report_data():
    address = b"\xad" * 20
    check = check_gpu_nonce(
        [HEAD, HEAD], NonceShape.REPORT_DATA_TAIL, report_data=address.ljust(32, b"\0") + HEAD, encoding=None
    )
    assert check is GPU_NONCE.passed


@pytest.mark.parametrize(
    ("code", "shape", "nonces", "report_data", "encoding"),
    [
        ("mismatch", NonceShape.CARRIER, [bytes(32)], SESSION.report_data(), SESSION.encode()),
        (
            "mismatch",
            NonceShape.CARRIER,
            [SESSION.carried("gpu"), SESSION.carried("tpm")],
            SESSION.report_data(),
            SESSION.encode(),
        ),
        ("unbound", NonceShape.CARRIER, [SESSION.carried("gpu")], bytes(64), SESSION.encode()),
        ("unbound", NonceShape.CARRIER, [SESSION.carried("gpu")], SESSION.report_data(), None),
        ("unbound", NonceShape.CARRIER, [HEAD], HEAD + bytes(32), SESSION.encode()),
        ("missing", NonceShape.CARRIER, [], SESSION.report_data(), SESSION.encode()),
        ("missing", NonceShape.REPORT_DATA_HEAD, [], HEAD + bytes(32), None),
        ("mismatch", NonceShape.REPORT_DATA_HEAD, [HEAD, bytes(32)], HEAD + bytes(32), None),
        ("shape", NonceShape.REPORT_DATA_HEAD, [HEAD], HEAD + bytes(31) + b"\1", None),
        ("shape", NonceShape.REPORT_DATA_HEAD, [HEAD], HEAD, None),
        ("missing", NonceShape.REPORT_DATA_TAIL, [], bytes(32) + HEAD, None),
        ("mismatch", NonceShape.REPORT_DATA_TAIL, [HEAD, bytes(32)], bytes(32) + HEAD, None),
        ("mismatch", NonceShape.REPORT_DATA_TAIL, [HEAD], HEAD + HEAD[::-1], None),
        ("shape", NonceShape.REPORT_DATA_TAIL, [bytes(32)], HEAD + bytes(32), None),
        ("shape", NonceShape.REPORT_DATA_TAIL, [HEAD], HEAD, None),
    ],
)
def test_any_other_nonce_is_refused(code, shape, nonces, report_data, encoding):
    """nvidia.composite.nonce."""
    check = check_gpu_nonce(nonces, shape, report_data=report_data, encoding=encoding)
    assert check.spec is GPU_NONCE
    assert (check.outcome, check.code) == (Outcome.FAILED, f"nvidia.composite.nonce.{code}")


def test_report_data_that_are_no_nonce_have_none():
    assert head_nonce(SESSION.report_data()) is None
    assert head_nonce(HEAD + bytes(32)) == HEAD
    assert head_nonce(hashlib.sha256(b"").digest()) is None
