from __future__ import annotations

import hashlib
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.channel.messages import STDIN_WINDOW
from assay.errors import ChannelError
from assay.guest.feed import Feed
from assay.guest.spool import Spool


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path, threading.Condition())
    yield made
    made.close()


def fill(spool, pieces, room=len, full=lambda: None):
    read, write = os.pipe()
    thread = threading.Thread(target=spool.fill, args=(read, room, full))
    thread.start()
    for piece in pieces:
        os.write(write, piece)
    os.close(write)
    thread.join()


def unlimited(size):
    return size


def test_what_was_written_can_be_read_from_any_offset(spool, tmp_path):
    fill(spool, [b"abc", b"def"], unlimited)
    assert (spool.size, spool.ended) == (6, True)
    assert spool.read(0, 100) == b"abcdef"
    assert spool.read(4, 1) == b"e"
    assert spool.read(6, 10) == spool.read(1 << 50, 10) == b""
    assert spool.digest() == hashlib.sha256(b"abcdef").digest()
    assert list(tmp_path.iterdir()) == []


def test_the_rest_is_dropped_once_there_is_no_room(spool):
    left = [4]

    def room(size):
        kept = min(size, left[0])
        left[0] -= kept
        return kept

    fill(spool, [b"abc", b"def"], room)
    assert spool.read(0, 100) == b"abcd"
    assert spool.digest() == hashlib.sha256(b"abcd").digest()


def test_a_full_disk_is_told_once_and_drains_the_workload(spool, monkeypatch):
    told = []

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("assay.guest.spool.os.pwrite", refuse)
    fill(spool, [b"abc"] * 50, unlimited, lambda: told.append(1))
    assert told == [1]
    assert (spool.size, spool.digest()) == (0, hashlib.sha256(b"").digest())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.binary(min_size=1, max_size=5000), max_size=8))
def test_stdin_arrives_as_it_was_put(pieces):
    read, write = os.pipe()
    granted = []
    feed = Feed(write, tty=False, consumed=granted.append)
    thread = threading.Thread(target=feed.run)
    thread.start()
    for piece in pieces:
        feed.put(piece)
    feed.end()
    feed.put(b"after the end")
    with os.fdopen(read, "rb") as file:
        assert file.read() == b"".join(pieces)
    thread.join()
    assert sum(granted) == feed.size == len(b"".join(pieces))
    assert feed.digest() == hashlib.sha256(b"".join(pieces)).digest()


def test_stdin_that_nobody_reads_is_bounded():
    read, write = os.pipe()
    feed = Feed(write, tty=False, consumed=lambda _: None)
    feed.put(bytes(STDIN_WINDOW))
    feed.put(bytes(STDIN_WINDOW))
    with pytest.raises(ChannelError) as found:
        feed.put(b"x")
    assert found.value.code == "channel.stdin.overrun"
    feed.stop()
    feed.run()
    os.close(read)


def test_a_workload_that_closed_its_stdin_changes_nothing():
    read, write = os.pipe()
    os.close(read)
    granted = []
    feed = Feed(write, tty=False, consumed=granted.append)
    feed.put(b"abc")
    feed.put(b"de")
    feed.end()
    feed.run()
    assert granted == [3, 2]
