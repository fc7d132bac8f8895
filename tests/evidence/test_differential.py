"""A second verifier over real quotes and thousands of mutants: each disagreement is of a declared kind.

The other verifier is the ``dcap-qvl`` wheel. Neither is an authority over the other: a kind of disagreement
is declared here with the reason why this verifier says something else, and one without a kind fails the test.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import NamedTuple

import dcap_qvl
import pytest

from assay.evidence.dcap import Collateral, verify_quote
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Unchecked
from support import vectors
from support.dcap_scenes import INTEL, KINDS, NOW, scene
from support.dcap_vectors import collateral_of, moment

REAL_MUTANTS = 3600
SIMULATED_MUTANTS = 1600
SEED = 20261121

# Where every byte has to mean something here, and others leave room by choice.
STRICTER = {
    "dcap.quote.length": "bytes inside the signature section that belong to nothing",
    "dcap.quote.trailing": "bytes behind the declared length that are not zero",
    "dcap.quote.certification_type": "a type of certification data that contradicts the format",
    "dcap.quote.reserved": "reserved bytes that are not zero",
    "dcap.pck.malformed": "text that is not strict PEM",
    "dcap.root.not_pinned": "a root in the quote that is not, byte for byte, a root that was given",
}
APPRAISED_LATER = {
    "No matching TCB level found": "no matching level is a status here, which no policy admits",
    "TCB status is invalid: Revoked": "the same: a status",
    "TDX module ISVSVN": "the same: a module below every level has a status",
    "QE ISVSVN": "the same: an enclave below every level has a status",
    "Failed to evaluate the current TDX TCB": "Intel appraises the TCB of the launch",
    "SEPT_VE_DISABLE is not enabled": "an attribute is appraised, it does not make evidence less authentic",
    "Invalid MR service TD": "the same: an attribute",
    "Debug mode is enabled": "the same: an attribute",
    "PKS is enabled": "the same: an attribute",
    "KL is enabled": "the same: an attribute",
    "SERVTD_EXT is enabled": "the same: an attribute",
    "TD profiling is enabled": "the same: an attribute",
    "TD migration is enabled": "the same: an attribute",
    "Reserved bits in TD attributes are set": "the same: an attribute",
    "Invalid QE auth data length": "any length of QE authentication data is legal",
    "SGX TEE quote must have version 3": "format 4 carries SGX as well",
    "Failed to decode TcbInfo": "TCB info version 2 is not read by the other verifier",
}
OUT_OF_ORDER = "status: levels out of order in the document, which this verifier sorts"
RELAUNCH = "status: relaunch advice by Intel's rule, which compares with the newest versions only"


class Trial(NamedTuple):
    """One input for both.

    Attributes:
        quote: The quote.
        collateral: The collateral.
        platform: What is asked for.
        at: When.
        root: The simulated root's DER; None for real evidence.
    """

    quote: bytes
    collateral: Collateral
    platform: str
    at: object
    root: bytes | None


def ours(trial: Trial, facts: FactCache, roots: Roots):
    result = verify_quote(
        trial.quote,
        platform=trial.platform,
        collateral=trial.collateral,
        roots=roots,
        now=trial.at,
        binding=Unchecked("the other verifier compares none"),
        facts=facts,
    )
    if result.authentic:
        return True, (str(result.claims.tcb.status), frozenset(result.claims.tcb.advisories))
    return False, frozenset(check.code for check in result.ledger.failed())


def theirs(trial: Trial, given):
    at = int(trial.at.timestamp())
    try:
        if trial.root is None:
            found = dcap_qvl.verify(trial.quote, given, at)
        else:
            found = dcap_qvl.verify_with_root_ca(trial.quote, given, trial.root, at)
    except ValueError as error:
        return False, str(error)
    return True, (found.status, frozenset(found.advisory_ids))


def kind_of(trial: Trial, first, second) -> str | None:
    """Return the kind of a disagreement, None when there is none; one that begins with ? is undeclared."""
    (accepted, mine), (other_accepted, other) = first, second
    if accepted and other_accepted:
        return None if mine == other else status_kind(trial, mine, other)
    if not accepted and not other_accepted:
        return None
    if accepted:
        text = next((text for text in APPRAISED_LATER if text in other), None)
        return f"appraised: {text}" if text else f"? refused by it: {other}"
    declared = sorted(mine & STRICTER.keys())
    return f"stricter: {declared[0]}" if declared else f"? refused by us: {sorted(mine)}"


def status_kind(trial: Trial, mine, other) -> str:
    if not in_order(trial.collateral):
        return OUT_OF_ORDER
    if any(status.startswith("TDRelaunchAdvised") for status, _ in (mine, other)):
        return RELAUNCH
    return f"? {mine} instead of {other}"


def in_order(collateral: Collateral) -> bool:
    """Tell whether every list of levels in the documents stands newest first."""
    info, identity = json.loads(collateral.tcb_info), json.loads(collateral.qe_identity)
    enclaves = [identity, *info.get("tdxModuleIdentities", ())]
    lists = [[level["tcb"]["isvsvn"] for level in enclave["tcbLevels"]] for enclave in enclaves]
    lists.append([platform_order(level["tcb"]) for level in info["tcbLevels"]])
    return all(found == sorted(found, reverse=True) for found in lists)


def platform_order(tcb):
    return (
        [component["svn"] for component in tcb["sgxtcbcomponents"]],
        tcb["pcesvn"],
        [component["svn"] for component in tcb.get("tdxtcbcomponents", ())],
    )


def given(collateral: Collateral):
    return dcap_qvl.QuoteCollateralV3.from_json(collateral.to_bundle_json().decode())


def compare(trials, roots: Roots, counts: Counter) -> None:
    facts = FactCache()
    handles: dict[bytes, object] = {}
    for trial in trials:
        key = trial.collateral.digest
        if key not in handles:
            handles[key] = given(trial.collateral)
        kind = kind_of(trial, ours(trial, facts, roots), theirs(trial, handles[key]))
        counts["trials"] += 1
        if kind is not None:
            counts[kind] += 1


# --- Real quotes and their mutants


def real() -> list[Trial]:
    return [
        Trial(
            vectors.read(case["files"]["quote"]),
            collateral_of(case["files"]["collateral"]),
            case["family"],
            moment(case["valid_at"]),
            None,
        )
        for case in vectors.cases("dcap-verify")
    ]


def mutate(rng: random.Random, quote: bytes, others: list[bytes]) -> bytes:
    at = rng.randrange(len(quote))
    how = rng.randrange(8)
    if how < 3:
        return quote[:at] + bytes([quote[at] ^ (1 << rng.randrange(8))]) + quote[at + 1 :]
    if how == 3:
        return quote[:at]
    if how == 4:
        return quote[:at] + rng.randbytes(rng.randrange(1, 9)) + quote[at:]
    if how == 5:
        size = rng.choice((1, 2, 4, 16, 48, 64))
        return quote[:at] + rng.choice((b"\0", b"\xff")) * size + quote[at + size :]
    other = rng.choice(others)
    if how == 6:
        start, size = rng.randrange(min(len(other), len(quote))), rng.choice((4, 64, 384, 600))
        return quote[:start] + other[start : start + size] + quote[start + size :]
    field = rng.choice((0, 2, 4, 8, 12, 28, 48, 632, 636, 764, 766))
    return quote[:field] + rng.randbytes(2) + quote[field + 2 :]


def test_real_quotes_and_mutants():
    trials, rng, counts = real(), random.Random(SEED), Counter()
    if not trials:
        pytest.skip("the real vectors are not here")
    compare(trials, Roots.vendor(), counts)
    others = [trial.quote for trial in trials]
    mutants = [
        trial._replace(quote=mutate(rng, trial.quote, others))
        for trial in (rng.choice(trials) for _ in range(REAL_MUTANTS))
    ]
    compare(mutants, Roots.vendor(), counts)
    report("real quotes and mutants of them", counts)


# --- Simulated evidence, changed and signed again


def disturb(rng: random.Random, stage) -> None:
    """Change a few things of a scene before it is signed."""
    for change in rng.sample(DISTURBANCES, rng.randrange(1, 4)):
        change(rng, stage)


def component(rng, stage):
    level = rng.choice(stage.collateral.tcb_info["tcbLevels"])
    name = rng.choice([key for key in level["tcb"] if key.endswith("components")])
    level["tcb"][name][rng.randrange(16)]["svn"] = rng.randrange(12)


def status(rng, stage):
    level = rng.choice(stage.collateral.tcb_info["tcbLevels"])
    level["tcbStatus"] = rng.choice(
        (
            "UpToDate",
            "SWHardeningNeeded",
            "ConfigurationNeeded",
            "ConfigurationAndSWHardeningNeeded",
            "OutOfDate",
            "OutOfDateConfigurationNeeded",
            "Revoked",
        )
    )
    level["advisoryIDs"] = [f"INTEL-SA-{rng.randrange(100):05}"]


def order(rng, stage):
    rng.shuffle(stage.collateral.tcb_info["tcbLevels"])
    rng.shuffle(stage.collateral.qe_identity["tcbLevels"])


def pce(rng, stage):
    rng.choice(stage.collateral.tcb_info["tcbLevels"])["tcb"]["pcesvn"] = rng.randrange(9, 14)


def module(rng, stage):
    identities = stage.collateral.tcb_info.get("tdxModuleIdentities")
    if identities:
        level = rng.choice(rng.choice(identities)["tcbLevels"])
        level["tcb"]["isvsvn"] = rng.randrange(16)
        level["tcbStatus"] = rng.choice(("UpToDate", "OutOfDate", "Revoked"))


def enclave(rng, stage):
    stage.quote.qe_report["isv_svn"] = rng.randrange(10)
    level = rng.choice(stage.collateral.qe_identity["tcbLevels"])
    level["tcbStatus"] = rng.choice(("UpToDate", "OutOfDate", "Revoked"))


def versions_of_a_td(rng, stage):
    if stage.platform == "tdx":
        for name in ("tee_tcb_svn", "tee_tcb_svn_2"):
            if name in stage.quote.body.fields:
                value = bytearray(stage.quote.body[name])
                value[rng.randrange(3)] = rng.choice((0, 1, 3, 5, 6, 9, 13))
                stage.quote.body[name] = bytes(value)


def attributes(rng, stage):
    name = "td_attributes" if stage.platform == "tdx" else "attributes"
    value = bytearray(stage.quote.body[name])
    value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
    stage.quote.body[name] = bytes(value)


def authentication(rng, stage):
    stage.quote.qe_auth = rng.randbytes(rng.choice((0, 20, 31, 33, 64, 1000)))


def header(rng, stage):
    stage.quote.header[rng.choice(("qe_svn", "pce_svn"))] = rng.randrange(3)
    stage.quote.header["user_data"] = rng.randbytes(20)


def enclave_fields(rng, stage):
    name = rng.choice(("mr_signer", "attributes", "misc_select", "mr_enclave", "config_id"))
    value = bytearray(stage.quote.qe_report[name])
    value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
    stage.quote.qe_report[name] = bytes(value)


def dates(rng, stage):
    document = rng.choice((stage.collateral.tcb_info, stage.collateral.qe_identity))
    document[rng.choice(("issueDate", "nextUpdate"))] = f"2026-{rng.randrange(1, 13):02}-21T12:30:00Z"


def numbers(rng, stage):
    stage.collateral.qe_identity["tcbEvaluationDataNumber"] = rng.randrange(10, 30)


def platform_identity(rng, stage):
    stage.collateral.tcb_info["fmspc"] = rng.choice(("00806F050000", "00806f050000", "00806F050001"))


DISTURBANCES = (
    component,
    component,
    status,
    status,
    order,
    pce,
    module,
    module,
    enclave,
    versions_of_a_td,
    versions_of_a_td,
    attributes,
    authentication,
    header,
    enclave_fields,
    dates,
    numbers,
    platform_identity,
)


def test_simulated_evidence_signed_again():
    rng, counts, trials = random.Random(SEED), Counter(), []
    for number in range(SIMULATED_MUTANTS):
        platform, version = KINDS[number % len(KINDS)]
        stage = scene(platform, version)
        disturb(rng, stage)
        evidence = stage.finish()
        trials.append(Trial(evidence.quote, evidence.collateral, platform, NOW, INTEL.root_der))
    compare(trials, Roots.vendor().with_anchor("simulated", INTEL.root_der), counts)
    report("simulated mutants, signed again", counts)


def report(name: str, counts: Counter) -> None:
    trials = counts.pop("trials")
    undeclared = [kind for kind in counts if kind.startswith("?")]
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    vectors.note(f"differential run over {trials} {name}: {counts.total()} disagreements: {kinds or 'none'}")
    assert not undeclared, json.dumps({kind: counts[kind] for kind in undeclared}, indent=1)
