"""The kernel's quoting interface, as FUSE imitates it: races, concurrency, refusals, registers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.errors import GuestError
from assay.guest.configfs import ATTEMPTS, ConfigfsDevice

SERVER = Path(__file__).parent.parent / "support" / "guest_tsm_fuse.py"
pytestmark = pytest.mark.skipif(
    not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="there is no /dev/fuse that this user may use"
)


class Mounted:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.reports = root / "report"
        self.measurements = root / "measurements"
        self.device = ConfigfsDevice(self.reports, self.measurements)

    def misbehave(self, how: str, times: int) -> None:
        (self.root / "control").write_text(f"{how} {times}")

    def entries_seen(self) -> list[str]:
        return (self.root / "control").read_text().split()


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    root = tmp_path_factory.mktemp("tsm")
    server = subprocess.Popen([sys.executable, str(SERVER), str(root)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not (root / "report").is_dir():
        if server.poll() is not None:
            pytest.skip(f"FUSE does not work here: {server.communicate()[1].decode()[-200:]}")
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield Mounted(root)
    subprocess.run(["fusermount3", "-u", "-z", str(root)], check=True)
    server.wait(20)
    server.stderr.close()


@pytest.fixture
def tsm(mounted):
    for how in ("race", "busy", "would-block", "refuse", "partial", "empty"):
        mounted.misbehave(how, 0)
    return mounted


def code_of(call, *arguments):
    with pytest.raises(GuestError) as found:
        call(*arguments)
    return found.value.code


def test_a_report_over_our_input(tsm):
    quote = tsm.device.quote(b"d" * 64)
    assert quote.outblob == b"report:0:" + b"d" * 64
    assert (quote.auxblob, quote.generation, quote.provider) == (b"certificates", 1, "tdx_guest")
    assert list(tsm.reports.iterdir()) == []


def test_every_quote_has_an_entry_of_its_own(tsm):
    before = len(tsm.entries_seen())
    for _ in range(5):
        tsm.device.quote(b"d" * 64)
    seen = tsm.entries_seen()[before:]
    assert len(set(seen)) == len(seen) == 5


def test_many_quotes_at_once_are_each_over_their_own_input(tsm):
    inputs = [hashlib.sha512(bytes([number])).digest() for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        quotes = list(pool.map(tsm.device.quote, inputs))
    assert [quote.outblob for quote in quotes] == [b"report:0:" + each for each in inputs]
    assert list(tsm.reports.iterdir()) == []


@pytest.mark.parametrize("how", ["race", "busy", "would-block", "empty"])
def test_a_race_is_noticed_and_tried_again(tsm, how):
    tsm.misbehave(how, ATTEMPTS - 1)
    assert tsm.device.quote(b"d" * 64).outblob == b"report:0:" + b"d" * 64


@pytest.mark.parametrize("how", ["race", "busy", "would-block", "empty"])
def test_a_race_that_does_not_end_is_an_error(tsm, how):
    tsm.misbehave(how, ATTEMPTS)
    assert code_of(tsm.device.quote, b"d" * 64) == "guest.quoting.race"
    assert list(tsm.reports.iterdir()) == []


def test_a_race_among_many_quotes_gives_nobody_anothers_report(tsm):
    tsm.misbehave("race", ATTEMPTS - 1)  # one of them may meet all of the races
    inputs = [hashlib.sha512(bytes([number])).digest() for number in range(12)]

    def quote(each):
        return tsm.device.quote(each).outblob

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(quote, inputs)) == [b"report:0:" + each for each in inputs]


def test_a_refusal_of_the_kernel_is_no_race(tsm):
    tsm.misbehave("refuse", 1)
    assert code_of(tsm.device.quote, b"d" * 64) == "guest.quoting.refused"
    assert list(tsm.reports.iterdir()) == []


def test_a_write_that_the_kernel_took_a_part_of_is_refused(tsm):
    tsm.misbehave("partial", 1)
    assert code_of(tsm.device.quote, b"d" * 64) == "guest.quoting.refused"
    tsm.misbehave("partial", 1)
    assert code_of(tsm.device.extend, 3, b"e" * 48) == "guest.quoting.refused"


def test_the_privilege_level_counts_as_a_write(tsm):
    device = ConfigfsDevice(tsm.reports, tsm.measurements, privilege_level=2)
    quote = device.quote(b"d" * 64)
    assert (quote.outblob, quote.generation) == (b"report:2:" + b"d" * 64, 2)


def test_a_register_is_extended(tsm):
    register = tsm.measurements / "rtmr3:sha384"
    before = register.read_bytes()
    tsm.device.extend(3, b"e" * 48)
    assert register.read_bytes() == hashlib.sha384(before + b"e" * 48).digest()
    assert code_of(tsm.device.extend, 4, b"e" * 48) == "guest.quoting.no_register"


def test_inputs_of_another_size_are_refused(tsm):
    assert code_of(tsm.device.quote, b"d" * 63) == "guest.quoting.input"
    assert code_of(tsm.device.extend, 3, b"e" * 47) == "guest.quoting.input"
    assert not tsm.device.gone()


def test_a_kernel_without_reports(tmp_path):
    device = ConfigfsDevice(tmp_path / "absent", tmp_path / "absent")
    assert code_of(device.quote, b"d" * 64) == "guest.quoting.unavailable"
    assert code_of(device.extend, 3, b"e" * 48) == "guest.quoting.no_register"
