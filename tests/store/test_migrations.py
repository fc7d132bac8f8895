from __future__ import annotations

import pytest

from assay.errors import StoreError
from assay.store import Database, Migration

FIRST = Migration("room", 1, ("CREATE TABLE a (n INTEGER) STRICT", "INSERT INTO a VALUES (1)"))
SECOND = Migration("room", 2, ("ALTER TABLE a ADD COLUMN m INTEGER", "UPDATE a SET m = n + 1"))
OTHER = Migration("other", 1, ("CREATE TABLE b (n INTEGER) STRICT",))


def refused(state, *steps):
    with pytest.raises(StoreError) as caught:
        Database.open(state, migrations=steps)
    return caught.value.code


def row(state, *steps):
    with Database.open(state, migrations=steps) as db, db.read() as view:
        return tuple(view.one("SELECT * FROM a"))


def test_steps_are_taken_once_and_in_order(tmp_path):
    state = tmp_path / "s"
    assert row(state, FIRST) == (1,)
    assert row(state, FIRST, OTHER, SECOND) == (1, 2)
    assert row(state, SECOND, FIRST) == (1, 2)


def test_a_newer_database_is_refused(tmp_path):
    state = tmp_path / "s"
    row(state, FIRST, SECOND)
    assert refused(state, FIRST) == "store.schema.newer"


def test_rooms_that_are_not_asked_for_are_left_alone(tmp_path):
    state = tmp_path / "s"
    row(state, FIRST, OTHER)
    assert row(state, FIRST) == (1,)


def test_a_step_that_was_changed_is_refused(tmp_path):
    state = tmp_path / "s"
    row(state, FIRST)
    assert refused(state, Migration("room", 1, ("CREATE TABLE a (n TEXT) STRICT",))) == "store.schema.changed"


@pytest.mark.parametrize("steps", [(SECOND,), (FIRST, FIRST), (FIRST, Migration("room", 3, ()))])
def test_versions_have_no_gaps(tmp_path, steps):
    assert refused(tmp_path / "s", *steps) == "store.schema.invalid"


def test_a_step_that_fails_leaves_nothing_of_itself_or_the_others(tmp_path):
    state = tmp_path / "s"
    assert refused(state, FIRST, Migration("room", 2, ("NOT SQL",))) == "store.database.failed"
    with Database.open(state, migrations=()) as db, db.read() as view:
        assert view.one("SELECT name FROM sqlite_master WHERE name = 'a'") is None
    assert row(state, FIRST, SECOND) == (1, 2)
