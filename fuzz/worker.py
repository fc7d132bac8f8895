"""One fuzz target in its own process; started by ``fuzz/run.py``, or by hand with a kept input."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
LONGEST_INPUT = 1 << 20
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def main() -> None:
    """Run one target under the chosen engine, or on the inputs that were named."""
    options = _options()
    sys.path[:0] = [str(ROOT / "fuzz" / "targets"), str(ROOT / "tests")]
    if options.inputs or options.engine == "simple":
        module = importlib.import_module(options.target)
    else:
        import atheris

        with atheris.instrument_imports(include=["assay", options.target]):
            module = importlib.import_module(options.target)
    seeds = module.SEEDS() if callable(module.SEEDS) else module.SEEDS
    if options.inputs:
        _again(module.target, options)
    elif options.engine == "simple":
        _simple(module.target, list(seeds), options)
    else:
        _atheris(module.target, list(seeds), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run one fuzz target.")
    parser.add_argument("target")
    parser.add_argument("inputs", nargs="*", type=Path, help="run the target on these files and stop")
    parser.add_argument("--engine", choices=["atheris", "simple"], default="simple")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--timeout", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _corpus(name: str, seeds: list[bytes]) -> Path:
    """Return the target's corpus folder, the seeds in it."""
    folder = ROOT / "fuzz-corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / hashlib.sha256(seed).hexdigest()[:40]).write_bytes(seed)
    return folder


def _crashes(name: str) -> Path:
    folder = ROOT / "fuzz-corpus" / f"{name}.crashes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _atheris(target: Callable[[bytes], None], seeds: list[bytes], options: argparse.Namespace) -> NoReturn:
    import atheris

    corpus = _corpus(options.target, seeds)
    longest = max([2048, *(path.stat().st_size for path in corpus.iterdir())])
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={options.seconds}",
        f"-timeout={options.timeout}",
        f"-rss_limit_mb={options.megabytes}",
        f"-artifact_prefix={_crashes(options.target)}/",
        f"-max_len={min(LONGEST_INPUT, 2 * longest)}",
        "-print_final_stats=1",
        "-report_slow_units=3600",
    ]
    if options.seed:
        arguments.append(f"-seed={options.seed}")
    atheris.Setup(arguments, target)
    atheris.Fuzz()
    sys.exit(0)


def _again(target: Callable[[bytes], None], options: argparse.Namespace) -> None:
    _limit_memory(options.megabytes)
    for path in options.inputs:
        began = time.monotonic()
        target(path.read_bytes())
        print(f"{path}: no failure, {time.monotonic() - began:.3f} s")


class _TooSlowError(BaseException):
    """One input took longer than it may; no target can swallow it as an error of its own."""


def _too_slow(_number: int, _frame: object) -> NoReturn:
    raise _TooSlowError


def _limit_memory(megabytes: int) -> None:
    size = megabytes << 20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _simple(target: Callable[[bytes], None], seeds: list[bytes], options: argparse.Namespace) -> None:
    _corpus(options.target, seeds)
    _limit_memory(options.megabytes)
    signal.signal(signal.SIGALRM, _too_slow)
    generator = random.Random(options.seed or None)
    pool = seeds or [b""]
    executed, began = 0, time.monotonic()
    while executed < len(pool) or time.monotonic() - began < options.seconds:
        data = pool[executed] if executed < len(pool) else _mutated(generator, pool)
        executed += 1
        try:
            signal.alarm(options.timeout)
            target(data)
            signal.alarm(0)
        except BaseException as error:  # noqa: BLE001 - any escape at all is the finding
            signal.alarm(0)
            kind = {_TooSlowError: "timeout", MemoryError: "oom"}.get(type(error), "crash")
            path = _crashes(options.target) / f"{kind}-{hashlib.sha1(data).hexdigest()}"
            path.write_bytes(data)
            traceback.print_exc()
            print(f"stat::number_of_executed_units: {executed}")
            sys.exit(77)
    print(f"stat::number_of_executed_units: {executed}")
    print(f"stat::fuzzing_seconds: {time.monotonic() - began:.1f}")


def _mutated(generator: random.Random, pool: list[bytes]) -> bytes:
    """Return one of the pool with one to eight small changes."""
    data = bytearray(generator.choice(pool))
    for _ in range(generator.randint(1, 8)):
        at = generator.randrange(len(data) + 1)
        match generator.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << generator.randrange(8)
            case 1 if data:
                data[at % len(data)] = generator.randrange(256)
            case 2:
                del data[at : at + generator.randint(1, 64)]
            case 3:
                data[at:at] = generator.randbytes(generator.randint(1, 16))
            case 4:
                size, little = generator.choice((1, 2, 4, 8)), generator.random() < 0.5
                value = generator.choice(INTERESTING) & ((1 << (8 * size)) - 1)
                data[at : at + size] = value.to_bytes(size, "little" if little else "big")
            case _:
                other = generator.choice(pool)
                begin = generator.randrange(len(other) + 1)
                data[at : at + len(other) // 2] = other[begin : begin + generator.randint(0, 256)]
    return bytes(data[:LONGEST_INPUT])


if __name__ == "__main__":
    main()
