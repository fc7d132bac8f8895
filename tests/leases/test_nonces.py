from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assay.channel.binding import Purpose
from assay.errors import GateError
from assay.leases import clock, nonces
from support.lease_desk import open_desk
from support.provider_hostile import Cloud


@pytest.fixture
def desk(tmp_path):
    with open_desk(tmp_path / "state", Cloud()) as found:
        yield found


def spend(desk, nonce):
    with desk.db.transaction() as tx:
        nonces.spend(tx, nonce)


def unusable(desk, nonce) -> bool:
    with pytest.raises(GateError) as caught:
        spend(desk, nonce)
    return caught.value.code == "gate.nonce.unusable"


def test_a_nonce_is_recorded_before_it_is_known_and_spent_once(desk):
    nonce = nonces.draw(desk.db, "asy-000000000000", Purpose.ADMISSION)
    with desk.db.read() as view:
        assert view.one("SELECT expires_at FROM nonces WHERE nonce = ?", (nonce.value,))[0] > desk.db.now()
    assert nonce.value.hex() not in repr(nonce)
    spend(desk, nonce)
    assert unusable(desk, nonce)


def test_two_clients_cannot_use_one_nonce(desk, tmp_path):
    nonce = nonces.draw(desk.db, "asy-000000000000", Purpose.ADMISSION)
    with open_desk(tmp_path / "state", Cloud()) as other:
        spend(other, nonce)
    assert unusable(desk, nonce)


def test_a_nonce_belongs_to_its_lease_and_purpose_and_expires(desk):
    from dataclasses import replace

    nonce = nonces.draw(desk.db, "asy-000000000000", Purpose.ADMISSION)
    assert unusable(desk, replace(nonce, lease="asy-000000000001"))
    assert unusable(desk, replace(nonce, purpose=Purpose.START))
    assert unusable(desk, replace(nonce, value=b"x" * 32))
    with desk.db.transaction() as tx:
        tx.execute("UPDATE nonces SET expires_at = ?", (tx.now() - 1,))
    assert unusable(desk, nonce)


def test_old_nonces_are_forgotten_in_time(desk):
    nonces.draw(desk.db, "asy-000000000000", Purpose.ADMISSION)
    with desk.db.transaction() as tx:
        tx.execute("UPDATE nonces SET expires_at = ?", (tx.now() - 2 * nonces.NONCE_SECONDS,))
    nonces.draw(desk.db, "asy-000000000000", Purpose.ADMISSION)
    with desk.db.read() as view:
        assert view.one("SELECT count(*) FROM nonces")[0] == 1


def test_the_newest_verified_time_only_moves_forward_and_a_clock_before_it_is_refused(desk):
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    with desk.db.read() as view:
        clock.check(view, datetime(1999, 1, 1, tzinfo=UTC))
        assert clock.newest(view) is None
    for when in (now, now - timedelta(days=3)):
        with desk.db.transaction() as tx:
            clock.remember(tx, when, "collateral")
    with desk.db.read() as view:
        assert clock.newest(view) == now
        clock.check(view, now)
        with pytest.raises(GateError) as caught:
            clock.check(view, now - timedelta(days=365))
    assert caught.value.code == "lease.clock.before_evidence"
    assert "2025-11-21" in caught.value.message
