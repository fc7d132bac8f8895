"""The cache: verified things only, ours alone, whole or absent, bounded, one fetch for all who ask."""

from __future__ import annotations

import errno
import fcntl
import inspect
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import rfc8785

from assay.endorsements import private
from assay.endorsements.cache import Cache
from assay.endorsements.fetching import Fetcher, Origin
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.endorsements.turns import Turns
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
    with opened(tmp_path / "c").flight(WANTED):
        files = {path.stat().st_mode & 0o777 for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert modes == {0o700}
    assert files == {0o600}


def test_the_directory_is_made_with_those_above_it(tmp_path):
    """The state directory is one of them; the store refuses it when others may enter."""
    opened(tmp_path / "a" / "b" / "c").put(endorsement())
    made = (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c")
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 3


@pytest.mark.parametrize(("mode", "refused"), [(0o777, True), (0o1777, False), (0o775, False)])
def test_a_directory_that_anybody_may_replace_is_refused(tmp_path, mode, refused):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    if refused:
        with pytest.raises(EndorsementError, match=r"Anybody may write.*\[endorsements\.cache\.exposed\]"):
            opened(shared / "c")
    else:
        opened(shared / "c")


def test_what_belongs_to_somebody_else_is_not_ours(tmp_path, monkeypatch):
    cache = opened(tmp_path / "c")
    cache.put(endorsement())
    somebody_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    assert cache.find(endorsement().wanted) is None
    with pytest.raises(EndorsementError) as caught:
        opened(tmp_path / "c")
    assert caught.value.code == "endorsements.cache.exposed"


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
    with pytest.raises(EndorsementError, match=r"\[endorsements\.cache\.unusable\]"):
        opened(tmp_path / "file" / "c")


def padded(size):
    """An endorsement whose record has so many bytes."""
    one = replace(endorsement(), sources=("x" * 8000,) * 3 + ("x" * 1000, "x"))
    more = size - len(rfc8785.dumps(one.record()))
    return replace(one, sources=(*one.sources[:4], "x" * (1 + more)))


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
    "an entry that is a directory": lambda path: (
        entry_file(path).rename(path / "moved"),
        (path / "entries" / f"{endorsement().wanted.digest}.json").mkdir(mode=0o700),
    ),
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
    assert [each for each in cache.entries() if each.wanted == endorsement().wanted] == []
    if entry_file(tmp_path / "c").is_dir():
        entry_file(tmp_path / "c").rmdir()
    cache.put(endorsement())
    assert cache.find(endorsement().wanted) == endorsement()


def test_an_entry_that_is_a_pipe_is_not_read(tmp_path):
    cache = opened(tmp_path / "c")
    cache.put(endorsement())
    path = entry_file(tmp_path / "c")
    record = path.read_bytes()
    path.unlink()
    os.mkfifo(path, 0o600)
    with path.open("r+b", buffering=0) as pipe:
        pipe.write(record)
        assert cache.find(endorsement().wanted) is None


def test_an_entry_of_the_greatest_length_is_kept_and_a_longer_one_is_not(tmp_path):
    cache = opened(tmp_path / "c")
    longest = padded(32768)
    cache.put(longest)
    assert entry_file(tmp_path / "c").stat().st_size == 32768
    assert cache.find(longest.wanted) == longest
    with pytest.raises(EndorsementError) as caught:
        cache.put(padded(32769))
    assert caught.value.code == "endorsements.record.malformed"
    assert cache.find(longest.wanted) == longest


def test_what_a_crash_left_behind_is_no_entry(tmp_path):
    cache = opened(tmp_path / "c")
    cache.put(endorsement())
    shutil.copy(entry_file(tmp_path / "c"), tmp_path / "c" / "entries" / ".left.0123456789abcdef")
    assert list(cache.entries()) == [endorsement()]


def test_a_cache_that_was_taken_away_is_empty(tmp_path):
    cache = opened(tmp_path / "c")
    cache.put(endorsement())
    shutil.rmtree(tmp_path / "c")
    assert list(cache.entries()) == []
    assert cache.find(endorsement().wanted) is None


def test_what_is_written_is_on_the_disk_before_it_counts(tmp_path, monkeypatch):
    cache = opened(tmp_path / "c")
    written = []

    def fsync(descriptor):
        counting = [path for path in (tmp_path / "c").rglob("*") if path.is_file() and path.name[0] != "."]
        written.append((os.fstat(descriptor).st_size, len(counting)))

    monkeypatch.setattr(os, "fsync", fsync)
    cache.put(endorsement(a=b"12345"))
    lock, part, entry = 1, 5, entry_file(tmp_path / "c").stat().st_size
    assert written == [(part, lock), (entry, lock + 1)]


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


def test_four_thousand_entries_are_kept(tmp_path):
    cache = opened(tmp_path / "c")
    for number in range(4095):
        (tmp_path / "c" / "entries" / f"{number}.json").touch(mode=0o600)
    cache.put(endorsement("one"))
    assert len(list((tmp_path / "c" / "entries").iterdir())) == 4096
    cache.put(endorsement("two"))
    assert len(list(cache.entries())) == len(list((tmp_path / "c" / "entries").iterdir())) == 2


def test_parts_of_256_mebibytes_are_kept(tmp_path):
    cache = opened(tmp_path / "c")
    large = tmp_path / "c" / "parts" / ("f" * 64)
    large.touch(mode=0o600)
    os.truncate(large, 268435456 - 3)
    cache.put(endorsement("one"))
    assert large.exists()
    cache.put(endorsement("two"))
    assert not large.exists()
    assert len(list(cache.entries())) == 2


def test_what_just_fits_is_kept(tmp_path):
    cache = opened(tmp_path / "c", max_bytes=6)
    for index, name in enumerate(("one", "two", "six")):
        cache.put(endorsement(name))
        age(cache, name, 1000 + index)
    assert {each.wanted["name"] for each in cache.entries()} == {"two", "six"}


def test_an_older_entry_that_fits_is_kept_where_a_later_one_does_not(tmp_path):
    cache = opened(tmp_path / "c", max_bytes=100)
    for index, (name, size) in enumerate((("one", 10), ("two", 80), ("three", 50))):
        cache.put(endorsement(name, part=name.encode() * (size // len(name))))
        age(cache, name, 1000 + index)
    assert {each.wanted["name"] for each in cache.entries()} == {"one", "three"}


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        (b"{", False),
        (b'{"parts":[]}', False),
        (b'{"parts":{"a":[]}}', False),
        (b'{"parts":{"a":1}}', True),
        (b'{"parts":{"a":"\\u0000"}}', True),
        (b'{"parts":{"a":"%064d"}}' % 0, True),
    ],
)
def test_damaged_entries_do_not_keep_others_from_making_room(tmp_path, content, stays):
    """One that names no part goes; one whose part is missing takes no room."""
    cache = opened(tmp_path / "c", max_bytes=3)
    cache.put(endorsement("one"))
    path = entry_file(tmp_path / "c")
    path.write_bytes(content)
    cache.put(endorsement("two"))
    assert path.exists() is stays
    assert list(cache.entries()) == [endorsement("two")]


def take_away_once_read(monkeypatch, entry, files):
    """Let another process remove files right after an entry was read."""
    read = private.read

    def taken_away(path, *, limit):
        data = read(path, limit=limit)
        if path == entry:
            for each in files:
                each.unlink()
        return data

    monkeypatch.setattr(private, "read", taken_away)


def test_what_somebody_takes_away_meanwhile_is_not_missed(tmp_path, monkeypatch):
    cache = opened(tmp_path / "c", max_bytes=3)
    cache.put(endorsement("one"))
    gone = [entry_file(tmp_path / "c"), part_file(tmp_path / "c")]
    take_away_once_read(monkeypatch, gone[0], gone)
    cache.put(endorsement("two"))
    assert [path.exists() for path in gone] == [False, False]
    assert list(cache.entries()) == [endorsement("two")]


@pytest.mark.parametrize(("goes", "unreadable"), [("both", 0), ("part", 1)])
def test_an_entry_that_makes_room_while_all_are_listed_is_not_unreadable(
    tmp_path, monkeypatch, goes, unreadable
):
    cache = opened(tmp_path / "c")
    cache.put(endorsement("one"))
    gone = [entry_file(tmp_path / "c"), part_file(tmp_path / "c")]
    take_away_once_read(monkeypatch, gone[0], gone if goes == "both" else gone[1:])
    assert cache.contents() == ([], unreadable)


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
    with pytest.raises(EndorsementError, match=r"\[endorsements\.cache\.unusable\]"):
        cache.put(replace(endorsement(), parts={"part": b"new"}))
    monkeypatch.undo()
    assert cache.find(endorsement().wanted) == endorsement()
    assert not list((tmp_path / "c").rglob(".*"))


def test_a_flight_that_does_not_end_is_not_waited_for_for_ever(tmp_path):
    cache = opened(tmp_path / "c", patience=0.2)
    other = opened(tmp_path / "c", patience=0.2)
    with (
        cache.flight(WANTED),
        pytest.raises(EndorsementError, match=r"\[endorsements\.cache\.busy\]"),
        other.flight(WANTED),
    ):
        pass
    with other.flight(WANTED):
        pass


@pytest.mark.parametrize(("patience", "least"), [(0.0, 0), (0.2, 3)])
def test_another_process_is_waited_for_as_long_as_there_is_patience(tmp_path, patience, least):
    world = World()
    other = Cache(tmp_path / "c", world.surroundings(), patience=patience)
    with opened(tmp_path / "c").flight(WANTED):
        with pytest.raises(EndorsementError) as caught, other.flight(WANTED):
            pass
        assert open_locks(other) == 1
    assert caught.value.code == "endorsements.cache.busy"
    assert least <= len(world.waits) <= least * 2
    assert set(world.waits) <= {0.05}
    assert open_locks(other) == 0


def test_another_thread_is_waited_for_as_long_as_there_is_patience(tmp_path):
    cache = opened(tmp_path / "c", patience=0.1)
    with cache.flight(WANTED):
        with pytest.raises(EndorsementError) as caught, cache.flight(WANTED):
            pass
        assert (tmp_path / "c" / "locks" / WANTED.digest).exists()
    assert caught.value.code == "endorsements.cache.busy"
    with cache.flight(WANTED):
        pass


def test_threads_wake_each_other_and_need_not_look(tmp_path):
    """The first holds it when the second and the third come; nobody asks the file system who is there."""
    world = World()
    cache = Cache(tmp_path / "c", world.surroundings())
    began, order = threading.Barrier(3, timeout=60), []

    def fly(name):
        began.wait()
        with cache.flight(WANTED):
            order.append(name)
            threading.Event().wait(0.05)
            order.append(name)

    threads = [threading.Thread(target=fly, args=(name,)) for name in "ab"]
    with cache.flight(WANTED):
        for thread in threads:
            thread.start()
        began.wait()
    for thread in threads:
        thread.join()
    assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])
    assert world.waits == []


def open_below(directory):
    """How often this process holds a directory or what is in it open, what was removed as well."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += f"{path.readlink()}/".startswith(f"{directory}/")
    return count


def open_locks(cache):
    return open_below(cache.directory / "locks")


def test_a_disk_without_locks_is_named(tmp_path, monkeypatch):
    """As some network file systems are."""
    cache, turns = opened(tmp_path / "c"), Turns(World().surroundings(), tmp_path / "hosts")

    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(EndorsementError, match=r"\[endorsements\.cache\.unusable\]"), cache.flight(WANTED):
        pass
    with pytest.raises(EndorsementError, match=r"\[endorsements\.cache\.unusable\]"):
        turns.take("a.example", pace=0.0, patience=0)
    assert open_locks(cache) == 0


@pytest.mark.parametrize("what", ["link", "directory"])
def test_a_lock_is_a_file_of_ours(tmp_path, what):
    cache = opened(tmp_path / "c")
    path = tmp_path / "c" / "locks" / WANTED.digest
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
    with pytest.raises(EndorsementError) as caught, cache.flight(WANTED):
        pass
    assert caught.value.code == "endorsements.cache.unusable"
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_is_gone_at_the_end_is_not_missed(tmp_path):
    cache = opened(tmp_path / "c")
    with cache.flight(WANTED):
        (tmp_path / "c" / "locks" / WANTED.digest).unlink()
    with cache.flight(WANTED):
        assert (tmp_path / "c" / "locks" / WANTED.digest).exists()


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
            assert open_locks(cache) == 1
    assert spoilt == [path]
    assert open_locks(cache) == 0


@pytest.mark.parametrize("kind", [Cache, Turns, Fetcher])
def test_what_an_object_keeps_for_itself_is_neither_given_nor_shown(tmp_path, kind):
    world = World().surroundings()
    made = {
        Cache: lambda: Cache(tmp_path / "c", world),
        Turns: lambda: Turns(world, None),
        Fetcher: lambda: fetcher(Cache(tmp_path / "c", world)),
    }
    assert [name for name in inspect.signature(kind).parameters if name.startswith("_")] == []
    shown = repr(made[kind]())
    assert all(f"{name}=" not in shown for name in ("_turns", "_lock", "_next", "_answered"))


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


@contextmanager
def beaten_to_it(monkeypatch, first):
    """Let ``first`` happen between looking into the cache and having the turn to ask."""
    flight, others = Cache.flight, [first]

    @contextmanager
    def after_another(self, wanted):
        while others:
            others.pop()()
        with flight(self, wanted):
            yield

    monkeypatch.setattr(Cache, "flight", after_another)
    yield
    assert others == []


@pytest.fixture
def intel():
    with running() as service:
        publish(service, INTEL.collateral(NOW, platform="tdx"))
        yield service


def older(service):
    draft = INTEL.collateral_draft(NOW, platform="tdx")
    draft.tcb_info["tcbEvaluationDataNumber"] -= 1
    publish(service, draft.sign())


def test_what_another_one_fetched_meanwhile_is_used(tmp_path, monkeypatch, intel):
    cache = opened(tmp_path / "c")
    with beaten_to_it(monkeypatch, lambda: fetcher(cache, intel).get(WANTED)):
        found = fetcher(cache, intel).get(WANTED)
    assert (found.origin, found.usable, found.error) == (Origin.CACHE, True, None)
    assert len(intel.requests) == 4


def test_who_wants_it_fresh_does_not_take_what_another_one_fetched(tmp_path, monkeypatch, intel):
    cache = opened(tmp_path / "c")
    with beaten_to_it(monkeypatch, lambda: fetcher(cache, intel).get(WANTED)):
        found = fetcher(cache, intel, fresh_for=timedelta(0)).get(WANTED)
    assert (found.origin, found.usable, found.error) == (Origin.NETWORK, True, None)
    assert len(intel.requests) == 8


@pytest.mark.parametrize(
    ("then", "code"),
    [
        (older, "endorsements.answer.older"),
        (lambda intel: intel.routes.clear(), "endorsements.http.not_found"),
    ],
    ids=["an older answer", "no answer any more"],
)
def test_what_another_one_fetched_is_kept(tmp_path, monkeypatch, intel, then, code):
    cache = opened(tmp_path / "c")

    def first():
        fetcher(cache, intel).get(WANTED)
        then(intel)

    with beaten_to_it(monkeypatch, first):
        found = fetcher(cache, intel, fresh_for=timedelta(0)).get(WANTED)
    assert (found.origin, found.usable, found.error.code) == (Origin.CACHE, True, code)


def test_an_older_answer_is_asked_for_once_by_all(tmp_path, monkeypatch, intel):
    """The first one kept what is at hand, and those who waited for it need not ask again."""
    cache = opened(tmp_path / "c")
    held = fetcher(cache, intel).get(WANTED).endorsement
    older(intel)
    one = fetcher(cache, intel, world=World(NOW + timedelta(days=1)))
    with beaten_to_it(monkeypatch, lambda: one.get(WANTED)):
        found = one.get(WANTED)
    assert (found.endorsement, found.usable) == (held, True)
    assert len(intel.requests) == 8


def test_an_entry_that_goes_away_meanwhile_is_still_at_hand(tmp_path, monkeypatch, intel):
    cache = opened(tmp_path / "c")
    held = fetcher(cache, intel).get(WANTED).endorsement
    older(intel)
    tomorrow = World(NOW + timedelta(days=1))
    with beaten_to_it(monkeypatch, entry_file(tmp_path / "c").unlink):
        found = fetcher(cache, intel, world=tomorrow).get(WANTED)
    assert (found.endorsement, found.error.code) == (held, "endorsements.answer.older")


def test_an_entry_of_the_future_is_asked_for_again(tmp_path, intel):
    """It was fetched under another clock; this one does not say how old it is."""
    cache = opened(tmp_path / "c")
    assert fetcher(cache, intel, world=World(NOW + timedelta(minutes=1))).get(WANTED).usable
    found = fetcher(cache, intel).get(WANTED)
    assert (found.origin, len(intel.requests)) == (Origin.NETWORK, 8)


def test_fetchers_that_may_do_the_same_are_equal(tmp_path, intel):
    one = fetcher(opened(tmp_path / "c"), intel)
    other = replace(one)
    assert one.get(WANTED).usable
    assert one == other


def test_files_that_are_not_read_are_closed(tmp_path):
    others = tmp_path / "others"
    others.write_bytes(b"x")
    others.chmod(0o644)
    for path in (others, tmp_path):
        assert private.read(path, limit=8) is None
    assert open_below(tmp_path) == 0
