"""The kill loop: ``python tests/faults/kill_loop.py --rounds 200 --seed 1``.

Each round leases a local machine in a process of its own and kills something with SIGKILL: the client at one
of its fault points, the client at a random moment, the guest, or the machine below it. Then the recovery of
the next command runs, and nothing may be left: no process, directory, key or deed; no entry lost or doubled.
The log of all rounds is exported and verified at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / "tests" / "support" / "lease_driver.py"
COMMANDS = (("true",), ("sh", "-c", "echo out; sleep 0.2; exit 3"), ("sleep", "0.4"))
LONGEST = 60.0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def environment() -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONFAULTHANDLER": "1"}


@dataclass
class Loop:
    """One state directory, and rounds of killing in it."""

    state: Path
    chance: random.Random
    points: int = 0
    victims: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    def drive(self, point: int, keep: str, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, DRIVER, self.state, str(point), keep, *command],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def count_points(self) -> int:
        """Run once to the end and return how many fault points a run passes."""
        client = self.drive(-1, "never", ("true",))
        out, err = client.communicate(timeout=LONGEST)
        assert client.returncode == 0, err.decode()
        self.points = len(out.splitlines())
        self.recover()
        return self.points

    def round(self, victim: str | None = None) -> None:
        """Kill something, recover, and look at what is left."""
        victim = victim or self.chance.choice(("point", "point", "moment", "guest", "machine"))
        self.victims[victim] += 1
        keep = self.chance.choice(("never", "never", "always"))
        command = self.chance.choice(COMMANDS)
        point = self.chance.randrange(self.points) if victim == "point" else -1
        client = self.drive(point, keep, command)
        if victim != "point":
            time.sleep(self.chance.uniform(0.05, 1.3))
            if victim == "moment":
                client.kill()
            else:
                self.kill_inside(victim)
        self.wait_for(client)
        self.ends[str(client.returncode)] += 1
        self.recover()

    @staticmethod
    def wait_for(client: subprocess.Popen[bytes]) -> None:
        """Wait until the client ends; show where it hangs when it does not."""
        try:
            client.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            client.send_signal(signal.SIGABRT)
            say(client.communicate(timeout=LONGEST)[1].decode(errors="replace"))
            raise

    def kill_inside(self, victim: str) -> None:
        """Kill the guest or the machine that runs now, if one does."""
        for record in (self.state / "local").glob("*/machine.json"):
            try:
                found = json.loads(record.read_bytes())
            except (OSError, ValueError):
                continue
            named = found["machine"] if victim == "machine" else found["sandbox"] or found["guest"]
            if named:
                try:
                    os.kill(named["pid"], signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def recover(self) -> None:
        """Run what the next command runs, end what was kept, and assert that nothing is left."""
        from assay.leases.desk import Desk
        from support.lease_desk import assert_whole

        with Desk.open({"ASSAY_STATE_DIR": str(self.state), "PATH": os.environ["PATH"]}) as desk:
            loop = desk.reconciler()
            loop.sweep()
            assert {lease.state.value for lease in desk.book.live()} <= {"kept"}
            with desk.db.transaction() as tx:
                tx.execute("UPDATE leases SET expires_at = 0 WHERE state = 'kept'")
            loop.sweep()
            assert desk.book.live() == ()
            assert desk.keys.held() == frozenset()
            assert desk.provider("local").inventory(timeout=10) == ()
            assert_whole(desk)
        left = (
            [path.name for path in (self.state / "local").iterdir()]
            if (self.state / "local").exists()
            else []
        )
        assert left == [], left
        assert self.processes() == []

    def processes(self) -> list[str]:
        """Return the command lines of processes that belong to this state directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                line = (entry / "cmdline").read_bytes()
                # The guest names no file of ours, but it holds the lock of its machine's directory.
                ours = os.fsencode(self.state) in line or self.opened(entry / "fd")
            except OSError:  # it has ended
                continue
            if ours:
                found.append(line.replace(b"\0", b" ").decode("utf-8", "replace"))
        return found

    def opened(self, descriptors: Path) -> bool:
        """Tell whether a file below ``local`` is open; one that is closed meanwhile hides no other."""
        for link in descriptors.iterdir():
            with suppress(FileNotFoundError):
                if str(link.readlink()).startswith(f"{self.state}/local"):
                    return True
        return False

    def verify_log(self) -> int:
        """Export the log, verify it offline, and return how many entries it has."""
        from assay.audit import Log, LogKey
        from assay.audit.verify import verify_export
        from assay.leases.desk import Desk

        with Desk.open({"ASSAY_STATE_DIR": str(self.state), "PATH": os.environ["PATH"]}) as desk:
            assert isinstance(desk.log, Log)
            target = self.state.parent / f"export-{self.chance.randrange(1 << 40)}"
            desk.log.export(target, tar=False, attachments={})
            key = LogKey.open(self.state).verifier(desk.log.origin)
            result = verify_export(
                target, vkey=key, memory=None, policy=None, max_age=None, now=datetime.now(UTC)
            )
            return result.checkpoint.size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    with tempfile.TemporaryDirectory(prefix="assay-kill-") as home:
        loop = Loop(Path(home) / "state", random.Random(options.seed))
        say(f"seed {options.seed}; a run passes {loop.count_points()} fault points")
        began = time.monotonic()
        for number in range(options.rounds):
            try:
                loop.round()
            except BaseException:
                say(f"round {number} of seed {options.seed} failed")
                raise
            if number % 20 == 19:
                say(f"{number + 1} rounds, {time.monotonic() - began:.0f} s")
        entries = loop.verify_log()
    say(f"killed: {dict(loop.victims)}; client ended with: {dict(loop.ends)}")
    say(f"nothing was left after any of {options.rounds} rounds; the log of {entries} entries verifies")
    return 0


if __name__ == "__main__":
    sys.exit(main())
