"""Google's go-tdx-guest and go-sev-guest say the same of real quotes and reports, whole and altered.

``foreign/go-tee`` runs them without collateral: signatures, and the chain to the vendor's root. So they are
compared with our checks of those, not with our whole result, on the formats that both read.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from assay.evidence.ledger import Outcome
from assay.evidence.snp import Product
from assay.evidence.snp import checks as snp_checks
from assay.evidence.x509.general import GeneralCertificate
from support import vectors
from support.dcap_vectors import collateral_of, moment
from support.dcap_vectors import judge as judge_quote
from support.snp_vectors import endorsed, root_named, window_of
from support.snp_vectors import judge as judge_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GO = Path(__file__).parents[2] / "foreign" / "go-tee"
ALTERED = (8, 0x50, 0x90, 0x1A0)
"""Offsets in the signed part of quotes and reports."""
NOT_READ = ("quote format not supported", "not an AMD KDS OID")
"""What they say of quotes of version 5 and of keys with fields of newer products."""
CHAIN_AND_SIGNATURE = frozenset(
    spec.id for spec in snp_checks.CHECKS if spec not in (*snp_checks.CRL_CHECKS, snp_checks.BINDING)
)


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    if shutil.which("go") is None or not GO.is_dir():
        pytest.skip("no Go toolchain here, or not the whole repository")
    binary = tmp_path_factory.mktemp("go") / "go-tee"
    built = subprocess.run(
        ["go", "build", "-trimpath", "-o", binary, "."], cwd=GO, capture_output=True, text=True, check=False
    )
    if built.returncode != 0 and ("dial tcp" in built.stderr or "lookup" in built.stderr):
        pytest.skip("the Go registry cannot be reached, and its modules are not in the cache")
    assert built.returncode == 0, built.stderr

    def ask(items):
        lines = "\n".join(json.dumps(each) for each in items)
        done = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True)
        # The libraries' own log goes to the same place.
        found = [line for line in done.stdout.splitlines() if line.startswith(("accepted", "refused"))]
        assert len(found) == len(items)
        return found

    return ask


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def quotes():
    """Every case of a TDX quote with collateral: quote, time, collateral."""
    for case in vectors.cases("dcap-verify"):
        if case["family"] == "tdx":
            quote = vectors.read(case["files"]["quote"])
            yield quote, moment(case["valid_at"]), collateral_of(case["files"]["collateral"])


def reports():
    """Every report whose key is stated: report, endorsements, a time at which the chain is valid, product."""
    for entry in vectors.entries("snp", "snp-report"):
        found = re.match(r"signature VALID against (\S+); chain VALID", entry["expected"]["result"])
        if found:
            given = endorsed(vectors.read(found[1]))
            window = window_of(given)
            issuer = GeneralCertificate.parse(given.authority)
            yield (
                vectors.read(entry["file"]),
                given,
                window.start + (window.end - window.start) / 2,
                root_named(issuer.issuer),
            )


def compare(name: str, answers: list[str], ours: list[bool]) -> None:
    both = [
        (answer, own)
        for answer, own in zip(answers, ours, strict=True)
        if not any(words in answer for words in NOT_READ)
    ]
    differing = [pair for pair in both if (pair[0] == "accepted") is not pair[1]]
    assert not differing
    genuine = sum(own for _, own in both)
    assert genuine
    vectors.note(f"{name} agrees on {len(both)} of {len(ours)}, {genuine} of them genuine")


def test_quotes(peers):
    ours, asked = [], []
    for quote, at, collateral in quotes():
        for data in (quote, *(flipped(quote, offset) for offset in ALTERED)):
            ours.append(judge_quote(data, "tdx", at, collateral).authentic)
            asked.append({"kind": "tdx", "evidence": text(data), "at": int(at.timestamp())})
    compare("go-tdx-guest", peers(asked), ours)


def test_reports(peers):
    ours, asked = [], []
    for report, given, at, root in reports():
        product = next(each for each in Product if each.name.title() in root.common_name)
        for data in (report, *(flipped(report, offset) for offset in ALTERED)):
            result = judge_report(data, given, at)
            good = (Outcome.PASSED, Outcome.NOT_APPLICABLE)
            ours.append(all(c.outcome in good for c in result.ledger if c.id in CHAIN_AND_SIGNATURE))
            asked.append(
                {
                    "kind": "snp",
                    "evidence": text(data),
                    "at": int(at.timestamp()),
                    "vek": text(given.vek),
                    "issuer": text(given.authority),
                    "root": text(root.der),
                    "product": product.name.title(),
                }
            )
    compare("go-sev-guest", peers(asked), ours)
