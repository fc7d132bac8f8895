"""The cache: verified things only, ours alone, whole or absent, bounded, one fetch for all who ask."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from assay.endorsements.cache import Cache
from assay.endorsements.fetching import Origin
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.errors import EndorsementError
from assay.evidence.facts import Window
from support.endorsement_intel import INTEL, NOW, WANTED, fetcher, publish
from support.endorsement_services import Reply, World, authority_pem, running


def endorsement(name="one", **parts):
    return Endorsement(
        wanted=Wanted.of("a-kind", name=name),
        parts=parts or {"part": name.encode()},
        window=Window(NOW, NOW + timedelta(days=1)),
        fetched=NOW,
        sources=("https://a.example/x",),
        basis=Basis.SIGNATURE,
        anchor="ab" * 32,
    )


def opened(path, **options):
    return Cache(path, World().surroundings(), **options)


def test_what_was_put_is_found(tmp_path):
    one = endorsement(a=b"1", b=b"")
    opened(tmp_path / "c").put(one)
    assert opened(tmp_path / "c").find(one.wanted) == one
    assert list(opened(tmp_path / "c").entries()) == [one]
    assert opened(tmp_path / "c").find(Wanted.of("a-kind", name="two")) is None


def test_the_directory_is_ours_alone(tmp_path):
    opened(tmp_path / "c").put(endorsement())
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "c").rglob("*") if path.is_dir()}
    files = {path.stat().st_mode & 0o777 for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert modes == {0o700}
    assert files == {0o600}


@pytest.mark.parametrize("what", ["others", "link", "file"])
def test_a_directory_that_is_not_ours_alone_is_refused(tmp_path, what):
    path = tmp_path / "c"
    if what == "others":
        path.mkdir()
        path.chmod(0o750)
    elif what == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "real")
    else:
        path.write_bytes(b"")
    with pytest.raises(EndorsementError) as caught:
        opened(path)
    assert caught.value.code in ("endorsements.cache.exposed", "endorsements.cache.unusable")


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EndorsementError, match="unusable"):
        opened(tmp_path / "file" / "c")


def entry_file(path):
    return next((path / "entries").iterdir())


def part_file(path):
    return next((path / "parts").iterdir())


DAMAGES = {
    "an entry that is no JSON": lambda path: entry_file(path).write_bytes(b"{"),
    "an entry of another thing": lambda path: entry_file(path).write_bytes(
        entry_file(path).read_bytes().replace(b'"one"', b'"two"')
    ),
    "an entry too long": lambda path: entry_file(path).write_bytes(b" " * (64 << 10)),
    "an entry with a part outside": lambda path: entry_file(path).write_bytes(
        entry_file(path).read_bytes().replace(part_file(path).name.encode(), b"../../x")
    ),
    "an altered part": lambda path: part_file(path).write_bytes(b"0ne"),
    "a missing part": lambda path: part_file(path).unlink(),
    "a part that others may write": lambda path: part_file(path).chmod(0o666),
    "an entry that is a link": lambda path: (
        entry_file(path).rename(path / "moved"),
        (path / "entries" / f"{endorsement().wanted.digest}.json").symlink_to(path / "moved"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_counts_as_absent(tmp_path, damage):
    cache = opened(tmp_path / "c")
    cache.put(endorsement())
    damage(tmp_path / "c")
    assert cache.find(endorsement().wanted) is None
    cache.put(endorsement())
    assert cache.find(endorsement().wanted) == endorsement()


def age(cache, name, seconds):
    path = cache.directory / "entries" / f"{Wanted.of('a-kind', name=name).digest}.json"
    os.utime(path, (seconds, seconds))


def test_the_oldest_entries_make_room(tmp_path):
    cache = opened(tmp_path / "c", max_entries=2)
    for index, name in enumerate(("one", "two", "three")):
        cache.put(endorsement(name))
        age(cache, name, 1000 + index)
    assert [each.wanted["name"] for each in cache.entries()] == ["three", "two"]
    assert len(list((tmp_path / "c" / "parts").iterdir())) == 2


def test_bytes_are_bounded_and_shared_parts_count_once(tmp_path):
    cache = opened(tmp_path / "c", max_bytes=250)
    for index, name in enumerate(("one", "two", "three")):
        cache.put(endorsement(name, shared=b"s" * 100, own=name.encode() * 20))
        age(cache, name, 1000 + index)
    assert [each.wanted["name"] for each in cache.entries()] == ["three"]
    cache.put(endorsement("four", shared=b"s" * 100))
    assert {each.wanted["name"] for each in cache.entries()} == {"three", "four"}


def test_an_entry_that_is_larger_than_the_cache_is_kept_until_the_next(tmp_path):
    cache = opened(tmp_path / "c", max_bytes=10)
    cache.put(endorsement("one", a=b"1" * 100))
    assert cache.find(Wanted.of("a-kind", name="one")) is not None
    cache.put(endorsement("two", a=b"1"))
    assert cache.find(Wanted.of("a-kind", name="one")) is None


def test_a_crash_before_the_entry_leaves_the_old_one(tmp_path, monkeypatch):
    cache = opened(tmp_path / "c")
    cache.put(endorsement())
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(EndorsementError, match="unusable"):
        cache.put(replace(endorsement(), parts={"part": b"new"}))
    monkeypatch.undo()
    assert cache.find(endorsement().wanted) == endorsement()
    assert not list((tmp_path / "c").rglob(".*"))


def test_a_flight_that_does_not_end_is_not_waited_for_for_ever(tmp_path):
    cache = opened(tmp_path / "c", patience=0.2)
    other = opened(tmp_path / "c", patience=0.2)
    with cache.flight(WANTED), pytest.raises(EndorsementError, match="busy"), other.flight(WANTED):
        pass
    with other.flight(WANTED):
        pass


def test_locks_do_not_pile_up(tmp_path):
    cache = opened(tmp_path / "c")
    for name in ("one", "two"):
        cache.put(endorsement(name))
        with cache.flight(Wanted.of("a-kind", name=name)):
            assert len(list((tmp_path / "c" / "locks").iterdir())) == 1
    assert list((tmp_path / "c" / "locks").iterdir()) == []


def test_a_lock_that_was_taken_away_is_taken_again(tmp_path):
    """Its last holder removed the file between our opening it and our locking it."""
    cache = opened(tmp_path / "c")
    path = tmp_path / "c" / "locks" / WANTED.digest
    real, spoilt = cache._locked_file, []

    def taken_away(where, end):
        descriptor = real(where, end)
        if not spoilt:
            spoilt.append(where)
            where.unlink()
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cache, "_locked_file", lambda self, where, end: taken_away(where, end))
        with cache.flight(WANTED):
            assert path.exists()
    assert spoilt == [path]


# --- one fetch for all who ask


def test_threads_fetch_once(tmp_path):
    cache = Cache(tmp_path / "c", World().surroundings())
    with running() as service:
        publish(service, INTEL.collateral(NOW, platform="tdx"))
        one = fetcher(cache, service)
        found = []
        threads = [threading.Thread(target=lambda: found.append(one.get(WANTED))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(service.requests) == 4
    assert sorted(each.origin for each in found) == [Origin.CACHE] * 7 + [Origin.NETWORK]
    assert all(each.usable for each in found)


PROGRAM = """
import sys
from pathlib import Path
from assay.endorsements.cache import Cache
from support import endorsement_services
from support.endorsement_intel import WANTED, fetcher
from support.endorsement_services import World
import assay.endorsements.http as http
import time

class Service:
    url = sys.argv[1]

endorsement_services._pem = Path(sys.argv[3]).read_bytes()
import support.endorsement_intel as intel
intel.authority_pem = lambda: endorsement_services._pem
world = World()
world.sleep = time.sleep
world.monotonic = time.monotonic
found = fetcher(Cache(Path(sys.argv[2]), world.surroundings()), Service(), world=world).get(WANTED)
print(found.origin, found.usable, found.error)
"""


def test_processes_fetch_once(tmp_path):
    (tmp_path / "ca.pem").write_bytes(authority_pem())
    with running() as service:
        publish(service, INTEL.collateral(NOW, platform="tdx"))
        both = threading.Barrier(2, timeout=60)
        arguments = [
            sys.executable,
            "-c",
            PROGRAM,
            service.url,
            str(tmp_path / "c"),
            str(tmp_path / "ca.pem"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}

        def start():
            both.wait()
            return subprocess.Popen(
                arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

        started = []
        threads = [threading.Thread(target=lambda: started.append(start())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = [process.communicate(timeout=90) for process in started]
        assert sorted(out.strip() for out, _ in said) == ["cache True None", "network True None"], said
        assert len(service.requests) == 4


def test_the_one_that_waits_fetches_itself_when_the_first_fails(tmp_path):
    cache = Cache(tmp_path / "c", World().surroundings())
    with running() as service:
        publish(service, INTEL.collateral(NOW, platform="tdx"))
        service.faults.append(Reply(404))
        one = fetcher(cache, service)
        assert one.get(WANTED).error.code == "endorsements.http.not_found"
        assert one.get(WANTED).usable


def test_what_cannot_be_kept_can_still_be_used(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "c", World().surroundings())
    full = EndorsementError("endorsements.cache.unusable", "There is no room left.")
    monkeypatch.setattr(Cache, "put", lambda self, made: (_ for _ in ()).throw(full))
    with running() as service:
        publish(service, INTEL.collateral(NOW, platform="tdx"))
        found = fetcher(cache, service).get(WANTED)
    assert found.usable
    assert (found.origin, found.error) == (Origin.NETWORK, full)
    assert list(cache.entries()) == []
