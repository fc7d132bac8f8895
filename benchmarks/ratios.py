"""Print what verification costs over the bare cryptography under it, for every format, warm and cold.

``python benchmarks/ratios.py``: each format's benchmark in a process of its own, in least processor time; a
ratio is to the floor of the same process. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from run import measured

if TYPE_CHECKING:
    from table import Row

P384, OTHER, COLD = 1.3, 1.5, 1.35


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line: the row of a benchmark, and how many times its floor it may cost."""

    benchmark: str
    row: str
    target: float


LINES = (
    Wanted("bench_dcap", "TDX evidence, warm", OTHER),
    Wanted("bench_dcap", "TDX evidence, appraisal and ledger, warm", OTHER),
    Wanted("bench_dcap", "TDX evidence, cold", COLD),
    Wanted("bench_snp", "SNP report, warm", P384),
    Wanted("bench_snp", "SNP report, new chip under a known ASK", COLD),
    Wanted("bench_snp", "SNP report, cold", COLD),
    Wanted("bench_nitro", "Nitro document, warm", P384),
    Wanted("bench_nitro", "Nitro document, cold", COLD),
    Wanted("bench_nvidia", "NVIDIA evidence, warm", P384),
    Wanted("bench_nvidia", "NVIDIA evidence, cold", COLD),
    Wanted("bench_azure", "Azure SNP, warm, in its parts", P384),
    Wanted("bench_azure", "Azure TDX, warm, in its parts", OTHER),
    Wanted("bench_azure", "Google vTPM, one quote, warm", OTHER),
    Wanted("bench_tpm", "TPM quote, known key", OTHER),
    Wanted("bench_tpm", "TPM evidence, warm", OTHER),
    Wanted("bench_tpm", "TPM evidence, cold", COLD),
    Wanted("bench_tokens", "Confidential Space token (OIDC), warm", OTHER),
    Wanted("bench_tokens", "Confidential Space token (PKI), warm", OTHER),
    Wanted("bench_tokens", "Confidential Space token (PKI), cold", COLD),
    Wanted("bench_tokens", "Azure Attestation token, warm", OTHER),
    Wanted("bench_tokens", "Trust Authority token, warm", OTHER),
    Wanted("bench_tokens", "NRAS answer about one GPU, warm", P384),
)


def main() -> int:
    """Print the table; 1 when a line is missing or over its target."""
    os.environ["BENCHMARK_CLOCK"] = "processor"
    print(f"{'what':42}  {'costs':>9}  {'floor':>9}  {'ratio':>5}  {'target':>6}  over")
    missed = 0
    for benchmark in dict.fromkeys(line.benchmark for line in LINES):
        rows = {row.name: row for row in measured(benchmark) or ()}
        for line in LINES:
            if line.benchmark == benchmark:
                missed += _print(line, rows)
    print(f"{missed} of {len(LINES)} over their target")
    return 1 if missed else 0


def _print(line: Wanted, rows: dict[str, Row]) -> bool:
    row = rows.get(line.row)
    floor = rows.get(row.against) if row else None
    if row is None or floor is None:
        print(f"{line.row:42}  not measured")
        return True
    ratio = row.seconds / floor.seconds
    over = ratio > line.target
    print(
        f"{line.row:42}  {row.seconds * 1e6:>6.1f} us  {floor.seconds * 1e6:>6.1f} us  {ratio:>5.2f}"
        f"  {line.target:>6}  {'OVER; ' if over else ''}{floor.name}",
        flush=True,
    )
    return over


if __name__ == "__main__":
    sys.exit(main())
