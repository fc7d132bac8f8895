from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest

from support.lease_shell import Shell


@pytest.fixture
def shell(tmp_path):
    found = Shell(tmp_path)
    yield found
    for lease in found.json("lease", "list")["leases"]:
        found("lease", "stop", lease["slug"])


def test_standard_output_is_the_workloads_alone(shell):
    done = shell("run", "--on", "local", "--", "sh", "-c", "echo out; echo spoken-aside >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, b"out\n")
    told = done.stderr.decode()
    for part in ("SIMULATED", "isolation", "policy local", "lease", "admission: accepted", "channel", "sent",
                 "start: accepted", "spoken-aside", "exit", "receipt", "assay receipt verify", "released",
                 "assay audit export"):  # fmt: skip
        assert part in told
    assert (
        told.index("admission")
        < told.index("sent")
        < told.index("start: accepted")
        < told.index("spoken-aside")
    )
    assert "\x1b" not in told
    assert max(map(len, (line for line in told.splitlines() if "assay receipt verify" not in line))) <= 80
    assert shell.json("lease", "list")["leases"] == []


def test_without_a_place_nothing_happens_and_the_providers_are_listed(shell):
    done = shell("run", "--", "true")
    assert done.returncode == 2
    assert b"lease.on.missing" in done.stderr
    assert b"local" in done.stderr
    assert not (shell.home / "state" / "local").exists()


def test_a_place_in_the_users_own_file_counts(shell):
    config = shell.home / ".config" / "assay"
    config.mkdir(parents=True)
    (config / "config.toml").write_text('on = "local"\n')
    assert shell("run", "-q", "--", "true").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--on", "nowhere", "--", "true"), 125, b"provider.unknown"),
        (("--on", "local:huge", "--", "true"), 125, b"lease.offer.none"),
        (("--on", "local/sgx", "--", "true"), 125, b"lease.offer.none"),
        (("--on", "Local!", "--", "true"), 2, b"lease.on.malformed"),
        (("--on", "local", "--ttl", "2x", "--", "true"), 2, b"settings.value.duration"),
        (("--on", "local", "--ttl", "25h", "--", "true"), 2, b"settings.value.ceiling"),
        (("--on", "local", "--policy", "genuine", "--", "true"), 2, b"policy.gate.no_measurements"),
        (("--on", "local", "--policy", "./none.toml", "--", "true"), 2, b"policy.file.unreadable"),
        (("--on", "local", "--env", "LD_PRELOAD", "--", "true"), 125, b"workload.environment.loader"),
        (("--on", "local", "--env", "ABSENT", "--", "true"), 125, b"lease.environment.absent"),
        (("--on", "local", "--keep", "--keep-on-failure", "--", "true"), 2, b"lease.keep.twice"),
        (("--on", "local", "--download", "x", "--", "true"), 2, b"lease.download.into"),
        (("--on", "local", "--into", "x", "--", "true"), 2, b"lease.download.names"),
        (("--on", "local", "--download", "x", "--into", ".", "--", "true"), 2, b"lease.download.exists"),
        (("--on", "local", "--tty", "--", "true"), 2, b"cli.tty.missing"),
        (("--on", "local", "--sync", "/nonexistent", "--", "true"), 125, b"lease.sync.directory"),
        (("--on", "local", "--attack", "rowhammer", "--", "true"), 2, b"rowhammer"),
        (("--lease", "nobody", "--", "true"), 125, b"lease.unknown"),
        (("--lease", "nobody", "--ttl", "1h", "--", "true"), 2, b"lease.option.fixed"),
        (("--on", "local"), 2, b"COMMAND"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_created(shell, words, code, said):
    done = shell("run", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr
    assert shell.json("lease", "list", "--all")["leases"] == []


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("stale-nonce", "answers another session"),
        ("debug", "debug mode"),
        ("foreign-key", "does not hold the key that the evidence names"),
        ("changed-bundle", "its host changed the files"),
    ],
)
def test_each_attack_has_a_sentence_of_its_own(shell, attack, said):
    (shell.cwd / "data").write_text("data")
    done = shell("run", "--on", "local", "--sync", ".", "--attack", attack, "--", "true")
    assert done.returncode == 125
    assert said in " ".join(done.stderr.decode().split())
    assert b"is gone" in done.stderr
    assert b"gate.refused" in done.stderr


def result(shell, *words, **given):
    path = shell.home / "result.json"
    done = shell("run", "--result", str(path), *words, **given)
    return done.returncode, json.loads(path.read_text())


def test_the_result_file_says_who_failed_and_why(shell):
    code, found = result(shell, "-q", "--on", "local", "--", "sh", "-c", "exit 125")
    assert (code, found["by"], found["exit"]["code"], found["error"]) == (125, "workload", 125, None)
    assert found["lease"]["state"] == "released"
    assert Path(found["receipt"]).is_file()
    assert found["simulated"] is True
    code, found = result(shell, "-q", "--on", "local", "--attack", "debug", "--", "true")
    assert (code, found["by"], found["started"]) == (125, "assay", False)
    assert found["error"]["detail"]["cause"] == "policy.attributes.debug.enabled"
    code, found = result(shell, "--", "true")
    assert (code, found["by"], found["error"]["code"]) == (2, "assay", "lease.on.missing")
    code, found = result(shell, "-q", "--on", "local", "--time-limit", "1s", "--", "sleep", "9")
    assert (code, found["by"], found["exit"]["reason"]) == (124, "workload", "time_limit")
    assert [path.name for path in shell.home.iterdir() if "result" in path.name] == ["result.json"]


def test_a_result_file_that_cannot_be_written_is_refused_before_the_lease(shell):
    shell.cwd.joinpath("file").touch()
    for path in ("absent/result.json", "file/result.json", "."):
        done = shell("run", "--result", path, "--on", "local", "--", "touch", str(shell.home / "ran"))
        assert (done.returncode, b"cli.result.unwritable" in done.stderr) == (2, True)
        assert b"leas" not in done.stderr
    assert not shell.home.joinpath("ran").exists()


def test_json_stays_off_the_workloads_output(shell):
    done = shell("run", "-q", "--json", "--on", "local", "--", "echo", "hi")
    assert done.stdout == b"hi\n"
    assert json.loads(done.stderr)["exit_code"] == 0


def test_input_output_and_a_closed_reader(shell):
    done = shell("run", "-q", "--on", "local", "--", "cat", input=b"x" * 100_000)
    assert done.stdout == b"x" * 100_000
    with subprocess.Popen(
        shell.argv("run", "-q", "--on", "local", "--", "yes"), env=shell.environ, cwd=shell.cwd,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as client:  # fmt: skip
        assert client.stdout.read(4) == b"y\ny\n"
        client.stdout.close()
        assert client.wait(timeout=60) == 128 + signal.SIGPIPE
    assert shell.json("lease", "list")["leases"] == []


def start(shell, *words, until: bytes) -> subprocess.Popen:
    client = subprocess.Popen(
        shell.argv("run", *words), env=shell.environ, cwd=shell.cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    line = b""
    while until not in line:
        line = client.stderr.readline()
        assert line
    return client


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_run_in_order(shell, number):
    with start(shell, "--on", "local", "--", "sleep", "60", until=b"workload started") as client:
        client.send_signal(number)
        _, told = client.communicate(timeout=60)
    assert client.returncode == 128 + number, told.decode()
    assert b"is gone" in told
    assert b"receipt verify" in told


def test_a_signal_before_the_workload(shell):
    with start(shell, "--on", "local", "--", "sleep", "60", until=b"lease  ") as client:
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=60)
    assert client.returncode == 128 + signal.SIGTERM
    assert shell.json("lease", "list")["leases"] == []


@pytest.mark.parametrize("lines", [1, 6, 12, 19])
def test_a_reader_of_the_progress_that_goes_away_leaves_no_machine(shell, lines):
    script = "echo said; read line"
    with subprocess.Popen(
        shell.argv("run", "--on", "local", "--", "sh", "-c", script),
        env=shell.environ, cwd=shell.cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        for _ in range(lines):
            while process.stderr.read(1) not in (b"\n", b""):
                pass
        process.stderr.close()
        assert process.stdout.read(5) == b"said\n"
        process.stdin.write(b"on\n")
        assert process.wait(60) == 0
    assert shell.json("lease", "list")["leases"] == []
    assert not list((shell.home / "state/local").iterdir())


def test_a_slow_reader_of_a_pipe_that_does_not_block(shell):
    near, far = os.pipe()
    os.set_blocking(far, False)
    with subprocess.Popen(
        shell.argv("run", "-q", "--on", "local", "--", "sh", "-c", "head -c 300000 /dev/zero; echo all >&2"),
        env=shell.environ, cwd=shell.cwd, stdin=subprocess.DEVNULL, stdout=far, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        room = select.poll()
        room.register(far, select.POLLOUT)
        while process.poll() is None and room.poll(0):
            pass  # until the pipe is full
        os.close(far)
        with os.fdopen(near, "rb") as read:
            assert len(read.read()) == 300_000
        assert process.wait(60) == 0


def test_a_process_without_standard_streams(shell):
    words = shell.argv("run", "--on", "local", "--", "sh", "-c", "cat; echo out; echo aside >&2; exit 3")
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words]
    done = subprocess.run(closed, env=shell.environ, cwd=shell.cwd, timeout=60, check=False)
    assert done.returncode == 3
    assert shell.json("lease", "list")["leases"] == []


def test_output_that_was_cut_off_is_no_success(shell):
    few = {"ASSAY_LIMITS_OUTPUT": "1KiB"}
    done = shell("run", "-q", "--on", "local", "--", "printf", "%2000d", "1", environ=few)
    assert (done.returncode, len(done.stdout)) == (137, 1024)
    assert b"output limit" in done.stderr


def test_a_directory_that_is_gone(shell):
    words = shell.argv("run", "--on", "local", "--", "true")
    done = subprocess.run(
        ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *words],
        env=shell.environ, cwd=shell.cwd, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"cli.directory.gone" in done.stderr


def test_a_program_whose_name_no_file_system_holds(shell):
    done = shell("run", "-q", "--on", "local", "--time-limit", "20s", "--", "a" * 300)
    assert done.returncode == 127
    assert b"not found" in done.stderr


def test_a_killed_client_is_recovered_from_by_the_next_command(shell):
    with start(shell, "--on", "local", "--", "sleep", "60", until=b"workload started") as client:
        client.kill()
        client.communicate()
    done = shell("run", "--on", "local", "--", "true")
    assert done.returncode == 0
    assert b"recover" in done.stderr
    assert [lease["reason"] for lease in shell.json("lease", "list", "--all")["leases"]] == [
        "done",
        "abandoned",
    ]


def test_a_terminal(shell):
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    with subprocess.Popen(
        shell.argv("run", "-q", "--tty", "--on", "local", "--", "sh", "-c", "stty size; tty"),
        env=shell.environ, cwd=shell.cwd, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    ) as client:  # fmt: skip
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert client.wait(timeout=60) == 0
    os.close(master)
    assert b"33 77" in seen
    assert b"/dev/" in seen


def test_a_repository_goes_in_and_its_settings_only_tighten(shell):
    environ = {**shell.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "init", "-q", str(shell.cwd)], check=True, env=environ)
    (shell.cwd / "main.py").write_text("print(open('sub/data').read())")
    (shell.cwd / "sub").mkdir()
    (shell.cwd / "sub" / "data").write_text("in the tree")
    (shell.cwd / "assay.toml").write_text('ttl = "10m"\n')
    done = shell("run", "--on", "local", "--", "python3", "main.py")
    assert done.stdout == b"in the tree\n"
    assert b"3 files" in done.stderr
    assert b"10m" in done.stderr
    done = shell("run", "-q", "--on", "local", "--", "sh", "-c", "cat data", cwd=shell.cwd / "sub")
    assert done.stdout == b"in the tree"
    (shell.cwd / "assay.toml").write_text('on = "local"\n')
    done = shell("run", "--", "true")
    assert done.returncode == 2
    assert b"settings.repository.provider" in done.stderr
    (shell.cwd / "assay.toml").unlink()
    (shell.cwd / ".env").write_text("A=1")
    done = shell("run", "--on", "local", "--", "true")
    assert done.returncode == 125
    assert b"lease.sync.secret" in done.stderr
    done = shell("run", "-q", "--on", "local", "--include", ".env", "--", "cat", ".env")
    assert done.stdout == b"A=1"


def test_the_environment_goes_by_name(shell):
    done = shell("run", "-q", "--on", "local", "--env", "ONE", "--", "env",
                 environ={"ONE": "1", "TWO": "2"})  # fmt: skip
    assert b"ONE=1" in done.stdout
    assert b"TWO" not in done.stdout
    assert str(shell.home).encode() not in done.stdout


def test_a_state_directory_of_another_mode_or_owner(shell):
    state = shell.home / "state"
    state.mkdir()
    state.chmod(0o755)
    done = shell("run", "--on", "local", "--", "true")
    assert done.returncode == 125
    assert b"store.directory.mode" in done.stderr
    state.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(state, 12345, 12345)
        assert b"store.directory.owner" in shell("run", "--on", "local", "--", "true").stderr
        os.chown(state, 0, 0)
