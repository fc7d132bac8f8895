"""Verified facts: bounded, and valid only within their windows."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.facts import FactCache, FactShelf, Window, digest_of

DAY = timedelta(days=1)
T0 = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - aware by timezones


@given(TIMES, TIMES, TIMES, TIMES, TIMES)
def test_an_intersection_holds_when_both_do(a, b, c, d, now):
    first, second = Window(a, b), Window(c, d)
    assert (now in (first & second)) == (now in first and now in second)


def test_a_window_includes_both_its_ends():
    window = Window(T0, T0 + DAY)
    second = timedelta(seconds=1)
    assert T0 in window
    assert T0 + DAY in window
    assert T0 - second not in window
    assert T0 + DAY + second not in window


def test_a_fact_is_found_within_its_window_only():
    shelf = FactShelf(4)
    shelf.put("key", Window(T0, T0 + DAY), "fact")
    assert shelf.get("key", T0) == "fact"
    assert shelf.get("key", T0 + DAY) == "fact"
    assert shelf.get("key", T0 - DAY) is None
    assert shelf.get("key", T0 + 2 * DAY) is None
    assert shelf.get("key", T0) == "fact"
    assert shelf.get("other", T0) is None


def test_long_parts_stand_in_a_key_by_their_number_order_and_bytes():
    named = {digest_of(parts) for parts in ((b"ab",), (b"a", b"b"), (b"b", b"a"), (b"",), (b"", b""))}
    assert {len(found) for found in named} == {32}
    assert len(named) == 5
    assert digest_of(()) == b""
    assert digest_of([b"a", b"b"]) in named


def test_the_least_recently_used_goes_first():
    shelf = FactShelf(2)
    always = Window(T0, T0 + DAY)
    shelf.put("a", always, 1)
    shelf.put("b", always, 2)
    assert shelf.get("a", T0) == 1
    shelf.put("c", always, 3)
    assert shelf.get("b", T0) is None
    assert (shelf.get("a", T0), shelf.get("c", T0), len(shelf)) == (1, 3, 2)
    shelf.put("a", always, 4)
    shelf.put("d", always, 5)
    assert (shelf.get("a", T0), shelf.get("c", T0)) == (4, None)


def test_every_kind_is_bounded_on_its_own():
    cache = FactCache(max_entries=16)
    always = Window(T0, T0 + DAY)
    for number in range(100):
        for shelf in (cache.platforms, cache.chains, cache.collateral, cache.certificates):
            shelf.put(number, always, number)
    assert [len(s) for s in (cache.platforms, cache.chains, cache.collateral, cache.certificates)] == [
        16,
        16,
        2,
        16,
    ]
    assert len(FactCache(max_entries=1).collateral) == 0


def test_threads_share_a_shelf():
    shelf, always = FactShelf(8), Window(T0, T0 + DAY)
    wrong = []

    def work(seed):
        for number in range(2000):
            key = (seed * number) % 13
            shelf.put(key, always, key)
            found = shelf.get((key + 1) % 13, T0)
            if found not in (None, (key + 1) % 13):
                wrong.append(found)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert len(shelf) == 8
