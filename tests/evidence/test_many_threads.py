"""Many threads, one store of verified facts: each gets the answer that it would have got alone."""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from assay.evidence.facts import FactCache
from support import dcap_scenes, snp_scenes

THREADS = 8


def subjects() -> list[tuple[Any, Any, bytes]]:
    """Return whole and altered evidence of several formats: who judges it, its scene, the bytes to judge."""
    found: list[tuple[Any, Any, bytes]] = []
    for platform, version in dcap_scenes.KINDS:
        made = dcap_scenes.scene(platform, version).finish()
        found += [(_quote, made, altered) for altered in _altered(made.quote)]
    for product, version, kind in snp_scenes.KINDS:
        made = snp_scenes.scene(product, version, kind).finish()
        found += [(_report, made, altered) for altered in _altered(made.report)]
    return found


def _altered(data: bytes) -> list[bytes]:
    """Return the bytes as they are, and with one bit of their signed part flipped."""
    return [data, *(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (0x60, 0x91))]


def _quote(made: Any, data: bytes, facts: FactCache) -> Any:
    return dcap_scenes.judge(replace(made, quote=data), facts=facts)


def _report(made: Any, data: bytes, facts: FactCache) -> Any:
    return snp_scenes.judge(made, report=data, facts=facts)


@pytest.mark.parametrize("room", [1024, 2], ids=["roomy", "always-full"])
def test_threads_that_share_verified_facts_answer_as_one_alone(room: int) -> None:
    every = subjects()
    alone = [judge(made, data, FactCache()).ledger for judge, made, data in every]
    assert {bool(ledger.failed()) for ledger in alone} == {True, False}
    facts = FactCache(max_entries=room)
    order = [*range(len(every))] * 4

    def work(seed: int) -> list[tuple[int, Any]]:
        mine = random.Random(seed).sample(order, len(order))
        return [(at, every[at][0](*every[at][1:], facts).ledger) for at in mine]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            answers = [answer for each in pool.map(work, range(THREADS)) for answer in each]
    finally:
        sys.setswitchinterval(interval)
    assert len(answers) == THREADS * len(order)
    for at, ledger in answers:
        assert ledger.checks == alone[at].checks
